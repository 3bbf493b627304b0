"""The `train` jobs of a configuration: trials, finished trials, time and memory."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmran.config.configuration import Config
from mmran.config.experiment import Experiment
from mmran.config.reruns import judge
from mmran.planning.slices import Slices, count_slices
from mmran.planning.speed import (
    ADVERSARIAL,
    PastTraining,
    cost_of,
    estimated_images_per_s,
    past_speed,
    read_past_trainings,
)

if TYPE_CHECKING:
    from mmran.training.trial import Trial

WEIGHT_BYTES = 4
_CHECKPOINTS = 3
"""The latest, the previous one, and the one being written."""


@dataclass(frozen=True)
class TrainJob:
    """The trials of one experiment under one protocol: one job of rule `train`.

    Attributes:
        experiment: name.
        protocol: name.
        trials: number of trials, seeds times folds.
        finished: number of finished trials.
        epochs: epochs of one trial.
        images_per_s: training speed.
        hours: duration of one trial, validation included.
        basis: "measured" or "estimate".
        where: device of the measurement.
        gpus, threads, trials_per_gpu, memory_mb, runtime_minutes: as configured.
        peak_memory_mb: as measured; None for an estimate.
        parameters: number of trainable parameters.
        checkpoint_bytes: disk space of the checkpoints of one running trial, at most.
        test_slices: number of test slices of all trials.
        published: whether the results of all trials are where rule `train` puts them.
        evaluated: whether the test slices are evaluated too.
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
    published: bool
    evaluated: bool

    @property
    def left(self) -> int:
        """Number of unfinished trials."""
        return self.trials - self.finished

    @property
    def device_hours(self) -> float:
        """GPU-hours, or core-hours on CPUs, of the unfinished trials."""
        share = 1 / self.trials_per_gpu if self.gpus else self.threads
        return self.left * self.hours * share

    @property
    def job_hours(self) -> float:
        """Duration of the job on the resources that it requests, as on a cluster."""
        at_a_time = max(1, self.gpus * self.trials_per_gpu)
        return math.ceil(self.left / at_a_time) * self.hours


def plan(
    config: Config, measured_in: Sequence[Path], tflops: float | None, progress: Callable[[str], None]
) -> list[TrainJob]:
    """The `train` jobs behind the tables and figures of a configuration.

    Args:
        config: the configuration.
        measured_in: folders of results to take speeds from; the first that has one decides.
        tflops: assumed rate of a GPU, or of a CPU thread; None for the defaults of `speed`.
        progress: called with the name of each experiment.
    """
    past, running = read_past_trainings(measured_in), set(judge(config).would_run())
    jobs = []
    for protocol in config.protocols:
        slices = count_slices(config, protocol)
        for name in config.experiments():
            left = {stage for stage in ("train", "evaluate") if f"{stage}/{name}/{protocol}" in running}
            jobs.append(_job(config, config.resolve(name), protocol, slices, past, tflops, left))
            progress(name)
    return jobs


def _job(
    config: Config,
    experiment: Experiment,
    protocol: str,
    slices: Slices,
    past: Sequence[PastTraining],
    tflops: float | None,
    stages_left: set[str],
) -> TrainJob:
    asked: dict[str, Any] = config.resources(experiment.name)
    cost, trials = cost_of(experiment), _trials(config, experiment, protocol)
    published = "train" not in stages_left
    known = past_speed(past, experiment, asked, {(trial.data_digest, trial.split_digest) for trial in trials})
    speed = known.images_per_s if known else estimated_images_per_s(experiment, asked, tflops)
    # A validation slice costs only the forward pass.
    seconds = experiment.training.epochs * (slices.train + slices.val / cost.passes) / speed
    if known and known.seconds is not None:
        seconds = known.seconds
    n = len(experiment.seeds) * slices.folds
    return TrainJob(
        experiment=experiment.name,
        protocol=protocol,
        trials=n,
        finished=n if published else sum(_finished(trial) for trial in trials),
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
        published=published,
        evaluated=not stages_left,
    )


def _trials(config: Config, experiment: Experiment, protocol: str) -> "list[Trial]":
    """The trials as `train` plans them; none while data or split do not exist."""
    store, split = config.results / "data" / "slices.h5", config.results / "splits" / f"{protocol}.csv"
    if not (store.is_file() and split.is_file()):
        return []
    from mmran.training.trial import plan_trials

    return plan_trials(experiment, store, split, config.results / ".work")


def _finished(trial: "Trial") -> bool:
    """Whether `train` will find the trial finished; the digest of its weights is not checked, since that reads them."""
    return (trial.folder / "run.json").is_file() and (trial.folder / "weights.safetensors").is_file()


def _checkpoint_bytes(parameters: int, recipe: str) -> int:
    """Checkpoints hold the weights, the best weights and two moments per weight of each Adam."""
    # RV-GAN's generators have one Adam each and one in common.
    adams = 2 if recipe == ADVERSARIAL else 1
    return WEIGHT_BYTES * parameters * _CHECKPOINTS * (2 + 2 * adams)
