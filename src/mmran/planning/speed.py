"""How fast a network trains: as recorded, or estimated from its operations and an assumed rate of the machine."""

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmran.config.experiment import Experiment
from mmran.errors import UserError
from mmran.machine import cpu_has_bfloat16
from mmran.training.record import RunRecord, read_runs

GPU_TFLOPS = 60.0
"""Assumed sustained rate of a GPU in 10^12 operations per second, which is 2470 images/s of ResNet-50.

Source: NVIDIA's published training of ResNet-50 v1.5 at 224 pixels in mixed precision on one A100.
"""

CPU_TFLOPS = 0.15 if cpu_has_bfloat16() else 0.06
"""The same for one CPU thread, which is faster with bfloat16 instructions.

Measured 0.14 to 0.17 with them (MMRAN, Res U-Net, Chen et al.), and 0.05 to 0.09 without (MMRAN, its backbone, Res
U-Net, Chen et al., MB-DCNN at an eighth of the width, two at a time), both on an AMD EPYC.
"""

WIDTH_POWER = 0.5
"""Narrow layers use less of a machine: the rate is proportional to this power of the width, from 1/8 up to 1."""

# Operations of a training step in units of a forward pass in evaluation mode, counted at 128 pixels. The stages of
# Y-Net and MB-DCNN average 2.9 and 3.0.
PASSES = 3.0
ADVERSARIAL = "mmran.training.adversarial:Adversarial"
PASSES_OF_RECIPE: Mapping[str, float] = {ADVERSARIAL: 14.8}


@dataclass(frozen=True)
class NetworkCost:
    """Size and cost of a network.

    Attributes:
        parameters: number of trainable parameters.
        forward: operations (additions and multiplications) of a forward pass of one image.
        passes: operations of a training step, in forward passes.
        recipe: class that trains it, "module:Class".
    """

    parameters: int
    forward: float
    passes: float
    recipe: str


@functools.cache
def network_cost(name: str, size: int, options: str) -> NetworkCost:
    """Count parameters and operations without allocating the weights.

    Args:
        name: network.
        size: side of the image in pixels.
        options: arguments of the network, as JSON.
    """
    from mmran.networks import network_class
    from mmran.networks.complexity import complexity

    found, recipe = complexity(name, size, **json.loads(options)), network_class(name).recipe
    return NetworkCost(
        parameters=found.parameters,
        forward=2.0 * found.multiply_accumulates,
        passes=PASSES_OF_RECIPE.get(recipe, PASSES),
        recipe=recipe,
    )


def cost_of(experiment: Experiment) -> NetworkCost:
    """The cost of an experiment's network at the size of its images."""
    network = experiment.network
    return network_cost(network.name, experiment.input.size, json.dumps(network.arguments, sort_keys=True))


def estimated_images_per_s(experiment: Experiment, resources: Mapping[str, Any], tflops: float | None) -> float:
    """Images per second of training to expect if nothing is recorded.

    Args:
        experiment: what is trained.
        resources: `gpus`, and `threads` if it is 0.
        tflops: 10^12 operations per second of a GPU, or of a CPU thread, at full width; None for the default.
    """
    rate = tflops or (GPU_TFLOPS if resources["gpus"] else CPU_TFLOPS)
    width = experiment.network.width
    at_once = 1 if resources["gpus"] else resources["threads"]
    cost = cost_of(experiment)
    return rate * 1e12 * width**WIDTH_POWER * at_once / (cost.passes * cost.forward)


@dataclass(frozen=True)
class PastTraining:
    """One finished training.

    Attributes:
        run: its record.
        experiment: its specification.
        folder: index of the results folder it is from, in the order given.
    """

    run: RunRecord
    experiment: Experiment
    folder: int


def read_past_trainings(folders: Iterable[Path]) -> list[PastTraining]:
    """The finished trainings in folders of results, except those whose record is damaged or from another version."""
    past = []
    for i, folder in enumerate(folders):
        for path in sorted(folder.glob("experiments/*/*/runs.json")):
            try:
                experiment = Experiment.read(path.with_name("spec.json"))
                runs = read_runs(path)
            except UserError:
                continue
            past += [PastTraining(run, experiment, i) for run in runs]
    return past


@dataclass(frozen=True)
class PastSpeed:
    """Time and memory of comparable past trainings.

    Attributes:
        images_per_s: mean training speed, validation excluded.
        seconds: mean duration, if a training of as many epochs on the same slices is recorded.
        device_name: the processor or GPU.
        peak_memory_mb: the highest of all; of tensors on a GPU, else of the process.
    """

    images_per_s: float
    seconds: float | None
    device_name: str
    peak_memory_mb: float


def past_speed(
    past: Iterable[PastTraining], experiment: Experiment, resources: Mapping[str, Any], slices: set[tuple[str, str]]
) -> PastSpeed | None:
    """Speed of the past trainings nearest to an experiment; None if none does the same work per image.

    The first folder that has one decides; within it, trainings of the experiment itself come first, then whole
    trainings on the same slices.

    Args:
        past: past trainings.
        experiment: what is to be trained.
        resources: `gpus` and `threads`.
        slices: digests of data and split of the experiment's own trials, if known.
    """

    def whole(record: PastTraining) -> bool:
        run = record.run
        return (run.data, run.split) in slices and run.epochs == experiment.training.epochs

    def nearness(record: PastTraining) -> tuple[int, bool, bool]:
        return -record.folder, record.experiment.name == experiment.name, whole(record)

    like = [record for record in past if _same_work(record, experiment, resources)]
    if not like:
        return None
    best = max(map(nearness, like))
    chosen = [record.run for record in like if nearness(record) == best]
    return PastSpeed(
        images_per_s=_mean([run.images_per_s for run in chosen]),
        seconds=_mean([run.seconds for run in chosen]) if best[-1] else None,
        device_name=chosen[0].device_name,
        peak_memory_mb=max(run.peak_memory_mb for run in chosen),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _same_work(record: PastTraining, experiment: Experiment, resources: Mapping[str, Any]) -> bool:
    """Whether an image costs the same in both; schedule, losses, learning rate and epochs matter little."""
    if resources["gpus"]:
        same_machine = record.run.device == "cuda"
    else:
        same_machine = record.run.device == "cpu" and record.run.threads == resources["threads"]
    return same_machine and _work(record.experiment) == _work(experiment)


def _work(experiment: Experiment) -> tuple[Any, ...]:
    training = experiment.training
    kind = (training.batch_size, training.accumulate, training.precision, training.channels_last, training.compile)
    network = experiment.network
    return network.name, network.arguments, experiment.input, experiment.augmentation, kind
