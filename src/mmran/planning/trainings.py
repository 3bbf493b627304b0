"""Every training of a configuration: how many there are, how many have ended, what each takes."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmran.config.configuration import Config
from mmran.config.experiment import Experiment
from mmran.config.reruns import judge
from mmran.planning.slices import Slices, count_slices
from mmran.planning.speed import ADVERSARIAL, Record, cost_of, estimated_images_per_s, measured, read_records

if TYPE_CHECKING:
    from mmran.training.trial import Trial

BYTES = 4
"""Of a weight."""
_CHECKPOINTS = 3
"""The latest, the one before, and the one that is being written."""


@dataclass(frozen=True)
class Training:
    """The trainings of one experiment under one protocol.

    Attributes:
        experiment, protocol: names.
        trials: seeds times folds.
        finished: how many of them have ended.
        epochs: of one.
        images_per_s: of training.
        hours: of one, all epochs and their validation.
        basis: "measured" or "estimate".
        where: on what it was measured.
        gpus, threads, trials_per_gpu, memory_mb, runtime_minutes: as configured.
        peak_memory_mb: measured, None where nothing was.
        parameters: trainable ones.
        checkpoint_bytes: what one lays down while it runs, at most.
        test_slices: of all its folds and seeds.
        delivered: whether the results of all are where the rule `train` puts them.
        done: whether their test slices are measured too.
    """

    experiment: str
    protocol: str
    trials: int
    finished: int
    epochs: int
    images_per_s: float
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
    checkpoint_bytes: int
    test_slices: int
    delivered: bool
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

    @property
    def job_hours(self) -> float:
        """Hours of the job that runs what is left on the resources it asks for, as one does on a cluster."""
        at_a_time = max(1, self.gpus * self.trials_per_gpu)
        return math.ceil(self.left / at_a_time) * self.hours


def plan(
    config: Config, measured_in: Sequence[Path], tflops: float | None, progress: Callable[[str], None]
) -> list[Training]:
    """Every training that the tables and figures of a configuration ask for.

    Args:
        config: the configuration.
        measured_in: folders of results to take measured speeds from, the first that has one decides.
        tflops: the rate of a GPU, or of a CPU thread, that estimates assume; None for the defaults of `speed`.
        progress: told the name of each experiment when it has been looked at.
    """
    records, verdict = read_records(measured_in), judge(config)
    running = set(verdict.would_run())
    trainings = []
    for protocol in config.protocols:
        slices = count_slices(config, protocol)
        for name in config.experiments():
            left = {stage for stage in ("train", "evaluate") if f"{stage}/{name}/{protocol}" in running}
            trainings.append(_training(config, config.resolve(name), protocol, slices, records, tflops, left))
            progress(name)
    return trainings


def _training(
    config: Config,
    experiment: Experiment,
    protocol: str,
    slices: Slices,
    records: Sequence[Record],
    tflops: float | None,
    stages_left: set[str],
) -> Training:
    asked: dict[str, Any] = config.resources(experiment.name)
    cost, trials = cost_of(experiment), _trials(config, experiment, protocol)
    delivered = "train" not in stages_left
    known = measured(records, experiment, asked, {(trial.data_digest, trial.split_digest) for trial in trials})
    speed = known.images_per_s if known else estimated_images_per_s(experiment, asked, tflops)
    # A slice that is validated costs the forward pass alone.
    seconds = experiment.training.epochs * (slices.train + slices.val / cost.passes) / speed
    if known and known.seconds is not None:
        seconds = known.seconds
    n = len(experiment.seeds) * slices.folds
    return Training(
        experiment=experiment.name,
        protocol=protocol,
        trials=n,
        finished=n if delivered else sum(_ended(trial) for trial in trials),
        epochs=experiment.training.epochs,
        images_per_s=speed,
        hours=seconds / 3600,
        basis="measured" if known else "estimate",
        where=known.device_name if known else "",
        **{key: asked[key] for key in ("gpus", "threads", "trials_per_gpu", "memory_mb", "runtime_minutes")},
        peak_memory_mb=known.peak_memory_mb if known else None,
        parameters=cost.parameters,
        checkpoint_bytes=_checkpoint_bytes(cost.parameters, cost.recipe),
        test_slices=n * slices.test,
        delivered=delivered,
        done=not stages_left,
    )


def _trials(config: Config, experiment: Experiment, protocol: str) -> "list[Trial]":
    """The trials as a training plans them; none while there is no data or no split to plan with."""
    store, split = config.results / "data" / "slices.h5", config.results / "splits" / f"{protocol}.csv"
    if not (store.is_file() and split.is_file()):
        return []
    from mmran.training.trial import plan_trials

    return plan_trials(experiment, store, split, config.results / ".work")


def _ended(trial: "Trial") -> bool:
    """Whether a training finds the trial done, but for the check of its weights, which takes their reading."""
    return (trial.folder / "run.json").is_file() and (trial.folder / "weights.safetensors").is_file()


def _checkpoint_bytes(parameters: int, recipe: str) -> int:
    """Checkpoints hold the weights, the best weights and the two averages of every Adam."""
    # RV-GAN's generators have an Adam each and one together.
    adams = 2 if recipe == ADVERSARIAL else 1
    return BYTES * parameters * _CHECKPOINTS * (2 + 2 * adams)
