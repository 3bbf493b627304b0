"""Checks of one training before its first step."""

import math

import torch

from mmran.config.experiment import Experiment
from mmran.errors import UserError
from mmran.networks import build
from mmran.training.recipe import micro_batch_count


def check_options(experiment: Experiment) -> None:
    """Refuse numbers that no training can use, wherever the specification is from.

    Raises:
        UserError: a number is out of range.
    """
    options = experiment.training
    for name in ("epochs", "batch_size", "accumulate"):
        if getattr(options, name) < 1:
            raise UserError(f"training.{name}: {getattr(options, name)} is not a positive number")
    if not (math.isfinite(options.learning_rate) and options.learning_rate > 0):
        raise UserError(f"training.learning_rate: {options.learning_rate} is not a finite number above 0")
    if not options.checkpoint_minutes >= 0:
        raise UserError(f"training.checkpoint_minutes: {options.checkpoint_minutes} is not 0 or more")


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
    """Whether a forward pass in training mode takes one slice; on the meta device, which computes shapes alone."""
    size = experiment.input.size
    with torch.device("meta"):
        network = build(experiment.network.name, **experiment.network.arguments)
        try:
            network.train()(torch.empty(1, 1, size, size))
        except ValueError as error:
            if "more than 1 value per channel" in str(error):
                return False
            raise
    return True
