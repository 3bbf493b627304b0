"""The learning rate of each epoch, as a fraction of `training.learning_rate`.

Every schedule is called as schedule(epoch, n_epochs) with epoch = 0 .. n_epochs - 1, warm-up excluded.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from mmran.config.experiment import Training
from mmran.training.named import named


def constant(epoch: int, n_epochs: int) -> float:
    """The whole learning rate in every epoch (section 4.2)."""
    return 1.0


def cosine(epoch: int, n_epochs: int) -> float:
    """Half a cosine from 1 toward 0, without restarts.

    Source: Loshchilov and Hutter 2017.
    """
    return 0.5 * (1 + math.cos(math.pi * epoch / n_epochs))


LEARNING_RATE_SCHEDULES: Mapping[str, Callable[[int, int], float]] = MappingProxyType(
    {"constant": constant, "cosine": cosine}
)
"""Name -> schedule, as `training.learning_rate_schedule` accepts it."""


def learning_rate_share(options: Training, epoch: int, n_epochs: int) -> float:
    """The fraction of the learning rate in one epoch of a stage.

    Warm-up epochs rise in equal steps; the first epoch after them has the whole rate.

    Args:
        options: of the experiment.
        epoch: 0 .. n_epochs - 1, within the stage.
        n_epochs: epochs of the stage.

    Raises:
        UserError: the schedule is unknown.
    """
    warmup = options.warmup_epochs
    if epoch < warmup:
        return (epoch + 1) / (warmup + 1)
    schedule = named("training.learning_rate_schedule", options.learning_rate_schedule, LEARNING_RATE_SCHEDULES)
    return float(schedule(epoch - warmup, n_epochs - warmup))
