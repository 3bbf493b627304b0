"""What a configuration will cost before anything runs: trainings, hours, memory, disk, and when it would be done.

Speeds are those of trainings that are recorded, of the same network on images of the same size; where there is none,
they are estimated from the operations of a training step and a rate that the machine is assumed to keep up.
"""

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmran.config import Config
from mmran.experiment import Experiment
from mmran.files import read_json

GPU_TFLOPS = 100.0
"""Trillion operations per second that a GPU is assumed to keep up; the tensor cores of an A100 reach 312 at most."""

CPU_TFLOPS = 0.05
"""The same of one CPU thread: as measured on one of an AMD EPYC with bfloat16, MMRAN at 64 and at 96 pixels."""

# Operations of a training step, in forward passes of the network as it predicts; counted at 128 pixels.
PASSES = 3.0
PASSES_OF_RECIPE: Mapping[str, float] = {"mmran.training.adversarial:Adversarial": 14.8}

PUBLISHED_SLICES, PUBLISHED_PATIENTS = 3064, 233
_BYTES = 4
_ADAM_COPIES = 3
"""Weights and the two averages of Adam: what a checkpoint holds."""
_CHECKPOINTS = 2


@dataclass(frozen=True)
class Training:
    """The trainings of one experiment under one protocol.

    Attributes:
        experiment, protocol: names.
        trials: seeds times folds.
        finished: how many of them have ended.
        epochs: of one.
        hours: of one, all epochs.
        basis: "measured" or "estimate".
        where: on what it was measured.
        gpus, threads, trials_per_gpu, memory_mb, runtime_minutes: as configured.
        peak_memory_mb: measured, None where nothing was.
        parameters: trainable ones.
        done: whether all have ended and their test slices are measured.
    """

    experiment: str
    protocol: str
    trials: int
    finished: int
    epochs: int
    hours: float
    basis: str
    where: str
    gpus: int
    threads: int
    trials_per_gpu: int
    memory_mb: int
    runtime_minutes: int
    peak_memory_mb: float | None
    parameters: int
    done: bool

    @property
    def left(self) -> int:
        """Trainings still to do."""
        return self.trials - self.finished

    @property
    def device_hours(self) -> float:
        """GPU-hours, or core-hours, that are still to be spent."""
        share = 1 / self.trials_per_gpu if self.gpus else self.threads
        return self.left * self.hours * share


@dataclass(frozen=True)
class Slices:
    """How many slices train, validate and test in one fold, how many folds there are, and who says so."""

    train: int
    val: int
    test: int
    folds: int
    source: str


def plan(
    config: Config, measured: Sequence[Path], tflops: float | None, progress: Callable[[str], None]
) -> list[Training]:
    """Every training that the tables and figures of a configuration ask for.

    Args:
        config: the configuration.
        measured: folders of results to take measured speeds from, the first that has one decides.
        tflops: the rate of a GPU, or of a CPU thread, that estimates assume; None for the defaults above.
        progress: told the name of each experiment before it is looked at.
    """
    records = [record for folder in measured for record in read_records(folder)]
    trainings = []
    for protocol in config.protocols:
        slices = count_slices(config, protocol)
        for name in config.experiments():
            progress(name)
            trainings.append(_training(config, config.resolve(name), protocol, slices, records, tflops))
    return trainings


def _training(
    config: Config,
    experiment: Experiment,
    protocol: str,
    slices: Slices,
    records: Iterable[Mapping[str, Any]],
    tflops: float | None,
) -> Training:
    asked: Mapping[str, Any] = config.resources(experiment.name)
    options = {key: value for key, value in experiment.network.items() if key != "name"}
    parameters, operations = network_cost(experiment.network["name"], experiment.input.size, json.dumps(options))
    record = next((record for record in records if _same_work(record, experiment, asked["gpus"] > 0)), None)
    if record:
        speed, basis, where = record["images_per_s"], "measured", record["device_name"]
    else:
        rate = tflops or (GPU_TFLOPS if asked["gpus"] else CPU_TFLOPS)
        speed = rate * 1e12 * (1 if asked["gpus"] else asked["threads"]) / operations
        basis, where = "estimate", ""
    # A slice that is validated costs the forward pass alone.
    seconds = experiment.training.epochs * (slices.train + slices.val / PASSES) / speed
    finished = _finished(config, experiment, protocol)
    summary = config.results / "experiments" / experiment.name / protocol / "summary.json"
    trials = len(experiment.seeds) * slices.folds
    return Training(
        experiment=experiment.name,
        protocol=protocol,
        trials=trials,
        finished=finished,
        epochs=experiment.training.epochs,
        hours=seconds / 3600,
        basis=basis,
        where=where,
        **{key: asked[key] for key in ("gpus", "threads", "trials_per_gpu", "memory_mb", "runtime_minutes")},
        peak_memory_mb=record["peak_memory_mb"] if record else None,
        parameters=parameters,
        done=finished == trials and summary.is_file(),
    )


@functools.cache
def network_cost(name: str, size: int, options: str) -> tuple[int, float]:
    """Trainable parameters, and operations (additions and multiplications) of a training step per image.

    Args:
        name: of the network.
        size: pixels along a side.
        options: of the network, as JSON.
    """
    from mmran.networks import network_class
    from mmran.networks.complexity import multiply_accumulates, parameter_count

    values = json.loads(options)
    passes = PASSES_OF_RECIPE.get(network_class(name).recipe, PASSES)
    return parameter_count(name, **values), 2 * passes * multiply_accumulates(name, size, **values)


def read_records(results: Path) -> list[dict[str, Any]]:
    """What the trainings in a folder of results took: entries of runs.json, with the specification as `spec`."""
    records = []
    for path in sorted(results.glob("experiments/*/*/runs.json")):
        spec = path.with_name("spec.json")
        if spec.is_file():
            experiment = Experiment.read(spec)
            records += [record | {"spec": experiment} for record in read_json(path)]
    return records


def _same_work(record: Mapping[str, Any], experiment: Experiment, gpu: bool) -> bool:
    """Whether an image costs the same in both: schedule, losses, rate and number of epochs do not matter."""
    return (record["device"] == "cuda") == gpu and _work(record["spec"]) == _work(experiment)


def _work(experiment: Experiment) -> tuple[Any, ...]:
    training = experiment.training
    kind = (training.batch_size, training.accumulate, training.precision, training.channels_last, training.compile)
    return experiment.network, experiment.input, experiment.augmentation, kind


def count_slices(config: Config, protocol: str) -> Slices:
    """Slices of a protocol: of its csv where it is made already, otherwise worked out."""
    path = config.results / "splits" / f"{protocol}.csv"
    if path.is_file():
        from mmran.data.splits import read_split

        rows = read_split(path)
        folds = rows["fold"].nunique()
        train, val, test = (round((rows["role"] == role).sum() / folds) for role in ("train", "val", "test"))
        return Slices(train, val, test, folds, str(path))
    n, source = _slices_in_use(config)
    values = config.protocol(protocol)
    folds = int(values.get("folds", 1))
    if values["method"] == "slice":
        shares = [float(share) for share in values["fractions"]]
    else:
        shares = [1 - 2 / max(folds, 3), 1 / max(folds, 3), 1 / max(folds, 3)]
    train, val, test = (round(n * share) for share in shares)
    return Slices(train, val, test, folds, source)


def _slices_in_use(config: Config) -> tuple[int, str]:
    index = config.results / "data" / "index.csv"
    if index.is_file():
        import pandas as pd

        rows = pd.read_csv(index)
        n, patients, source = len(rows), rows["family"].nunique(), str(index)
    elif config.source is None:
        from mmran.data.phantom import patient

        phantom = config.values["data"]["phantom"]
        patients, source = phantom["patients"], "the phantom"
        n = sum(patient(phantom["seed"], k).n_slices for k in range(patients))
    else:
        n, patients, source = PUBLISHED_SLICES, PUBLISHED_PATIENTS, "the published data set"
    if per_class := config.values["data"]["patients_per_class"]:
        n = round(n * min(1.0, 3 * per_class / patients))
    return n, source


def _finished(config: Config, experiment: Experiment, protocol: str) -> int:
    """Trials that have ended, as a training finds them: by the digest of experiment, data and split."""
    store, split = config.results / "data" / "slices.h5", config.results / "splits" / f"{protocol}.csv"
    if not (store.is_file() and split.is_file()):
        return 0
    from mmran.training.trial import plan_trials

    trials = plan_trials(experiment, store, split, config.results / ".work")
    return sum((trial.folder / "run.json").is_file() for trial in trials)


def finish_hours(trainings: Iterable[Training], machines: int, capacity: float) -> float:
    """Hours until all are done, the longest first, each as soon as a machine has room for it.

    Args:
        trainings: what is left of them is run.
        machines: GPUs; 1 for the cores of one machine.
        capacity: of each: 1 for a GPU, the number of cores.
    """
    waiting = [(one.hours, _share(one, capacity)) for one in trainings for _ in range(one.left)]
    waiting.sort(reverse=True)
    free, now = [capacity] * machines, 0.0
    running: list[tuple[float, float, int]] = []
    while waiting or running:
        for job in list(waiting):
            place = max(range(machines), key=lambda i: free[i])
            # Shares such as a third do not add up to 1 exactly.
            if free[place] + 1e-9 >= job[1]:
                waiting.remove(job)
                free[place] -= job[1]
                running.append((now + job[0], job[1], place))
        running.sort(reverse=True)
        now, share, place = running.pop()
        free[place] += share
    return now


def _share(training: Training, capacity: float) -> float:
    return 1 / training.trials_per_gpu if training.gpus else min(training.threads, capacity)


def disk_bytes(config: Config, trainings: Sequence[Training], at_a_time: int) -> dict[str, float]:
    """Bytes of what a configuration will lay down, at most, by kind.

    Args:
        config: the configuration.
        trainings: of `plan`.
        at_a_time: trainings that run side by side, each with its checkpoints.
    """
    store = config.results / "data" / "slices.h5"
    n, _ = _slices_in_use(config)
    side = config.values["data"]["phantom"]["size"] if config.source is None else 512
    largest = max((one.parameters for one in trainings), default=0)
    tests = sum(count_slices(config, one.protocol).test * one.trials for one in trainings)
    return {
        # 16 bits of image and 8 of mask.
        "slices": store.stat().st_size if store.is_file() else 3 * n * side**2,
        "weights": sum(_BYTES * one.parameters * one.trials for one in trainings),
        # One byte a pixel before compression.
        "predictions": tests * side**2,
        "checkpoints": _BYTES * largest * (_CHECKPOINTS * _ADAM_COPIES + 1) * at_a_time,
    }
