"""Checks of one training before its first step."""

import math

import torch

from mmran.config.experiment import Experiment
from mmran.data.transforms import Transform, try_transforms
from mmran.errors import UserError
from mmran.networks import build
from mmran.training.learning_rates import LEARNING_RATE_SCHEDULES
from mmran.training.named import named
from mmran.training.optimizers import OPTIMIZERS
from mmran.training.recipe import micro_batch_count
from mmran.training.schedules import SCHEDULES


def check_options(experiment: Experiment) -> None:
    """Refuse numbers that no training can use, whatever wrote the specification.

    Raises:
        UserError: a number is out of range.
    """
    options = experiment.training
    for name in ("epochs", "batch_size", "accumulate"):
        if getattr(options, name) < 1:
            raise UserError(f"training.{name}: {getattr(options, name)} is not a positive number")
    if not (math.isfinite(options.learning_rate) and options.learning_rate > 0):
        raise UserError(f"training.learning_rate: {options.learning_rate} is not a finite number above 0")
    if not (math.isfinite(options.weight_decay) and options.weight_decay >= 0):
        raise UserError(f"training.weight_decay: {options.weight_decay} is not a finite number >= 0")
    if not 0 <= options.warmup_epochs < options.epochs:
        raise UserError(
            f"training.warmup_epochs: {options.warmup_epochs} is not within 0..{options.epochs - 1}; training.epochs "
            f"is {options.epochs}"
        )
    if options.gradient_clip is not None and not options.gradient_clip > 0:
        raise UserError(f"training.gradient_clip: {options.gradient_clip} is not above 0; null does not clip")
    if options.ema_decay is not None and not 0 < options.ema_decay < 1:
        raise UserError(f"training.ema_decay: {options.ema_decay} is not between 0 and 1; null averages nothing")
    named("schedule.name", experiment.schedule.name, SCHEDULES)
    for key in ("segmentation", "classification"):
        if place := getattr(experiment.loss, key):
            named(f"loss.{key}", place, {})
    named("training.optimizer", options.optimizer, OPTIMIZERS)
    named("training.learning_rate_schedule", options.learning_rate_schedule, LEARNING_RATE_SCHEDULES)
    try_transforms(experiment.input.size, extra_transforms(experiment), experiment.network.channels)
    if not options.checkpoint_minutes >= 0:
        raise UserError(f"training.checkpoint_minutes: {options.checkpoint_minutes} is not 0 or more")


def extra_transforms(experiment: Experiment) -> dict[str, Transform]:
    """The transforms from outside that an experiment names.

    Raises:
        UserError: there is no such module or function.
    """
    return {name: named("augmentation.extra", name, {}) for name in experiment.augmentation.extra}


def check_single_slices(experiment: Experiment, n: int | None = None) -> None:
    """Refuse micro-batches of one slice if batch norm cannot take them: a map of one pixel then has no variance.

    A last batch of one slice joins the batch before it, so this concerns a batch size of 1, as many micro-batches as
    slices, or a single training slice.

    Args:
        experiment: what to train.
        n: number of training slices, if known.

    Raises:
        UserError: batch norm would fail in the first epoch.
    """
    options = experiment.training
    batch_size = options.batch_size if n is None else min(n, options.batch_size)
    count = micro_batch_count(batch_size, options.batch_size, options.accumulate)
    if batch_size // count > 1 or _takes_single_slices(experiment):
        return
    cause = f"training.batch_size {options.batch_size} and training.accumulate {options.accumulate}"
    if n == 1:
        cause = "a training side of one slice"
    raise UserError(
        f"{experiment.name}: {cause} leave one slice in a micro-batch, which batch norm of network "
        f"{experiment.network.name} cannot take at input.size {experiment.input.size}; use two slices or more in a "
        "micro-batch, or a larger input.size"
    )


def _takes_single_slices(experiment: Experiment) -> bool:
    """Whether a forward pass in training mode accepts one slice; on the meta device, which computes only shapes."""
    size = experiment.input.size
    with torch.device("meta"):
        network = build(experiment.network.name, **experiment.network.arguments)
        try:
            network.train()(torch.empty(1, experiment.network.channels, size, size))
        except ValueError as error:
            if "more than 1 value per channel" in str(error):
                return False
            raise
    return True
