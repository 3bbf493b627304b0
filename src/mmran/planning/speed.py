"""How fast a network trains: as recorded, or else its operations over a rate that the machine is assumed to keep up."""

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmran.config.experiment import Experiment
from mmran.errors import UserError
from mmran.files import read_json

GPU_TFLOPS = 60.0
"""Trillion operations per second that a GPU is assumed to keep up: what 2470 images/s of ResNet-50 come to.

Source: NVIDIA's published training of ResNet-50 v1.5 at 224 pixels in mixed precision on one A100.
"""

CPU_TFLOPS = 0.15
"""The same of one CPU thread: .14 to .17 of MMRAN, Res U-Net and Chen et al., one of an AMD EPYC with bfloat16."""

WIDTH_POWER = 0.5
"""Narrow layers keep less of a machine busy: the rate as measured on that thread, from an eighth of the width on."""

# Operations of a training step, in forward passes of the network as it predicts; counted at 128 pixels. The stages
# of Y-Net and MB-DCNN come to 2.9 and 3.0 of them on average.
PASSES = 3.0
ADVERSARIAL = "mmran.training.adversarial:Adversarial"
PASSES_OF_RECIPE: Mapping[str, float] = {ADVERSARIAL: 14.8}


@dataclass(frozen=True)
class NetworkCost:
    """What a network is and costs.

    Attributes:
        parameters: trainable ones.
        forward: operations (additions and multiplications) of a forward pass of one image.
        passes: operations of a training step, in forward passes.
        recipe: how it is trained, "module:Class".
    """

    parameters: int
    forward: float
    passes: float
    recipe: str


@functools.cache
def network_cost(name: str, size: int, options: str) -> NetworkCost:
    """Count a network without memory for its weights.

    Args:
        name: of the network.
        size: pixels along a side.
        options: of the network, as JSON.
    """
    from mmran.networks import network_class
    from mmran.networks.complexity import multiply_accumulates, parameter_count

    values, recipe = json.loads(options), network_class(name).recipe
    return NetworkCost(
        parameters=parameter_count(name, **values),
        forward=2.0 * multiply_accumulates(name, size, **values),
        passes=PASSES_OF_RECIPE.get(recipe, PASSES),
        recipe=recipe,
    )


def cost_of(experiment: Experiment) -> NetworkCost:
    """The cost of an experiment's network at the size of its images."""
    network = experiment.network
    return network_cost(network.name, experiment.input.size, json.dumps(network.arguments, sort_keys=True))


def estimated_images_per_s(experiment: Experiment, resources: Mapping[str, Any], tflops: float | None) -> float:
    """Images per second of training that are to be expected where nothing is recorded.

    Args:
        experiment: what is trained.
        resources: `gpus`, and `threads` where it is 0.
        tflops: 10^12 operations per second of a GPU, or of a CPU thread, at full width; None for what is assumed.
    """
    rate = tflops or (GPU_TFLOPS if resources["gpus"] else CPU_TFLOPS)
    width = experiment.network.width
    at_once = 1 if resources["gpus"] else resources["threads"]
    cost = cost_of(experiment)
    return rate * 1e12 * width**WIDTH_POWER * at_once / (cost.passes * cost.forward)


@dataclass(frozen=True)
class Record:
    """One training as runs.json has it.

    Attributes:
        values: its entry there.
        experiment: its specification.
        folder: which of the folders of results it is from, 0 for the first that was given.
    """

    values: Mapping[str, Any]
    experiment: Experiment
    folder: int


def read_records(folders: Iterable[Path]) -> list[Record]:
    """What the trainings in folders of results took; those whose specification another version wrote are left out."""
    records = []
    for i, folder in enumerate(folders):
        for path in sorted(folder.glob("experiments/*/*/runs.json")):
            try:
                experiment = Experiment.read(path.with_name("spec.json"))
            except UserError:
                continue
            records += [Record(values, experiment, i) for values in read_json(path)]
    return records


@dataclass(frozen=True)
class Measured:
    """What like trainings took, on average.

    Attributes:
        images_per_s: of training, validation left out.
        seconds: of a whole training, where one of as many epochs over the same slices is recorded.
        device_name: where.
        peak_memory_mb: the most of any; on a GPU of its tensors, else of the process.
    """

    images_per_s: float
    seconds: float | None
    device_name: str
    peak_memory_mb: float


def measured(
    records: Iterable[Record], experiment: Experiment, resources: Mapping[str, Any], slices: set[tuple[str, str]]
) -> Measured | None:
    """What the trainings took that are nearest to an experiment; None where none does the same work per image.

    The first folder decides that has one; in it those of the experiment itself, then whole ones on the same slices.

    Args:
        records: what is recorded.
        experiment: what is to be trained.
        resources: `gpus` and `threads`.
        slices: digests of data and of split of the experiment's own trials, as far as they are known.
    """

    def whole(record: Record) -> bool:
        run = record.values
        return (run["data"], run["split"]) in slices and run["epochs"] == experiment.training.epochs

    def nearness(record: Record) -> tuple[int, bool, bool]:
        return -record.folder, record.experiment.name == experiment.name, whole(record)

    like = [record for record in records if _same_work(record, experiment, resources)]
    if not like:
        return None
    best = max(map(nearness, like))
    chosen = [record.values for record in like if nearness(record) == best]
    return Measured(
        images_per_s=_mean([run["images_per_s"] for run in chosen]),
        seconds=_mean([run["seconds"] for run in chosen]) if best[-1] else None,
        device_name=chosen[0]["device_name"],
        peak_memory_mb=max(run["peak_memory_mb"] for run in chosen),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _same_work(record: Record, experiment: Experiment, resources: Mapping[str, Any]) -> bool:
    """Whether an image costs the same in both: schedule, losses, rate and number of epochs matter little."""
    if resources["gpus"]:
        same_machine = record.values["device"] == "cuda"
    else:
        same_machine = record.values["device"] == "cpu" and record.values["threads"] == resources["threads"]
    return same_machine and _work(record.experiment) == _work(experiment)


def _work(experiment: Experiment) -> tuple[Any, ...]:
    training = experiment.training
    kind = (training.batch_size, training.accumulate, training.precision, training.channels_last, training.compile)
    return experiment.network, experiment.input, experiment.augmentation, kind
