"""The weight of each task in each epoch: the three training methods, as pure functions of the epoch.

Every schedule is called as schedule(epoch, n_epochs, **options) with epoch = 0 .. n_epochs - 1.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from mmran.config.experiment import ScheduleSpec
from mmran.errors import UserError
from mmran.training.named import named


class TaskWeights(NamedTuple):
    """Weights of the two losses, which add up to 1; `classification` is the alpha of Eq. 13."""

    segmentation: float
    classification: float


Schedule = Callable[..., TaskWeights]


def fixed(epoch: int, n_epochs: int, *, alpha: float) -> TaskWeights:
    """The same alpha in every epoch.

    Source: section 3.4, 1).

    Args:
        epoch: 0 .. n_epochs - 1.
        n_epochs: total number of epochs.
        alpha: 0..1.

    Raises:
        UserError: alpha is outside 0..1.
        ValueError: epoch is outside the training.
    """
    _check_epoch(epoch, n_epochs)
    if not 0 <= alpha <= 1:
        raise UserError(f"schedule fixed, option alpha: {alpha} is not within 0..1")
    return TaskWeights(1 - alpha, alpha)


def freeze(epoch: int, n_epochs: int) -> TaskWeights:
    """Segmentation alone, then classification alone, then both at one half: a third of the epochs each.

    If 3 does not divide the epochs, the earlier phases are longer.

    Source: Eq. 14, N = E / (c + 1) with c = 2 tasks; section 3.4, 2). Which task goes first: the end of section 3.4.

    Args:
        epoch: 0 .. n_epochs - 1.
        n_epochs: E, the total number of epochs.

    Raises:
        ValueError: epoch is outside the training.
    """
    _check_epoch(epoch, n_epochs)
    phase = epoch * 3 // n_epochs
    return (TaskWeights(1.0, 0.0), TaskWeights(0.0, 1.0), TaskWeights(0.5, 0.5))[phase]


def dynamic(epoch: int, n_epochs: int) -> TaskWeights:
    """From segmentation alone toward classification: alpha = epoch / n_epochs.

    Source: Eq. 15, with epochs counted from 0, so that training begins with segmentation only.

    Args:
        epoch: 0 .. n_epochs - 1.
        n_epochs: total number of epochs.

    Raises:
        ValueError: epoch is outside the training.
    """
    _check_epoch(epoch, n_epochs)
    alpha = epoch / n_epochs
    return TaskWeights(1 - alpha, alpha)


def _check_epoch(epoch: int, n_epochs: int) -> None:
    if not 0 <= epoch < n_epochs:
        raise ValueError(f"epoch {epoch} is outside 0..{n_epochs - 1}")


SCHEDULES: Mapping[str, Schedule] = MappingProxyType({"fixed": fixed, "freeze": freeze, "dynamic": dynamic})


def task_weights(schedule: ScheduleSpec, epoch: int, n_epochs: int) -> TaskWeights:
    """The weights of one epoch under an experiment's schedule.

    An external schedule, "package.module:function", is called as function(epoch, n_epochs) and returns alpha.

    Args:
        schedule: of the experiment.
        epoch: 0 .. n_epochs - 1.
        n_epochs: total number of epochs.

    Raises:
        UserError: the schedule is unknown, or an option is out of range.
        ValueError: epoch is outside the training.
    """
    function = named("schedule", schedule.name, SCHEDULES)
    options = {} if schedule.alpha is None else {"alpha": schedule.alpha}
    if schedule.name in SCHEDULES:
        weights: TaskWeights = function(epoch, n_epochs, **options)
        return weights
    alpha = float(function(epoch, n_epochs))
    if not 0 <= alpha <= 1:
        raise UserError(f"schedule {schedule.name}: alpha {alpha} in epoch {epoch} is not within 0..1")
    return TaskWeights(1 - alpha, alpha)
