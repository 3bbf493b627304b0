"""Totals over all `train` jobs: number of jobs, hours on the available GPUs or cores, disk space."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmran.config.configuration import Config
from mmran.config.reruns import judge
from mmran.planning.slices import stored_slices
from mmran.planning.train_jobs import WEIGHT_BYTES, TrainJob

_IMAGE_BYTES, _MASK_BYTES = 2, 1
"""Of a pixel and channel."""


@dataclass(frozen=True)
class Totals:
    """What all jobs of a configuration need.

    Attributes:
        jobs: rule -> number of jobs left.
        gpus: available GPUs, 0 if no training uses one.
        cores: available cores, 0 if all trainings use GPUs.
        gpu_hours: of the unfinished trials on GPUs.
        core_hours: of the unfinished trials on CPUs.
        finish_hours: hours until all trainings are finished.
        disk_bytes: kind of file -> bytes, existing files included.
    """

    jobs: dict[str, int]
    gpus: int
    cores: int
    gpu_hours: float
    core_hours: float
    finish_hours: float
    disk_bytes: dict[str, float]


def totals(config: Config, trainings: Sequence[TrainJob], gpus: int, cores: int) -> Totals:
    """Add up the jobs of a configuration.

    Args:
        config: the configuration.
        trainings: of `plan`.
        gpus: available GPUs.
        cores: available cores, for trainings without a GPU.
    """
    on_gpu, on_cpu = [one for one in trainings if one.gpus], [one for one in trainings if not one.gpus]
    return Totals(
        jobs=judge(config).counts(),
        gpus=gpus if on_gpu else 0,
        cores=cores if on_cpu else 0,
        gpu_hours=sum(one.device_hours for one in on_gpu),
        core_hours=sum(one.device_hours for one in on_cpu),
        finish_hours=max(finish_hours(on_gpu, gpus, 1), finish_hours(on_cpu, 1, cores)),
        disk_bytes=disk_bytes(config, trainings, gpus, cores),
    )


def finish_hours(trainings: Iterable[TrainJob], machines: int, capacity: float) -> float:
    """Hours until all trials are finished if the longest start first, each as soon as there is room.

    Args:
        trainings: their unfinished trials are counted.
        machines: number of GPUs; 1 for the cores of one machine.
        capacity: of each machine: 1 for a GPU, else the number of cores.
    """
    waiting = [_lease(one, capacity) for one in trainings for _ in range(one.left)]
    waiting.sort(reverse=True)
    free, now = [capacity] * machines, 0.0
    running: list[tuple[float, float, int]] = []
    while waiting or running:
        for job in list(waiting):
            place = max(range(machines), key=lambda i: free[i])
            # Three times a third is not exactly 1.
            if free[place] + 1e-9 >= job[1]:
                waiting.remove(job)
                free[place] -= job[1]
                running.append((now + job[0], job[1], place))
        running.sort(reverse=True)
        now, share, place = running.pop()
        free[place] += share
    return now


def _lease(training: TrainJob, capacity: float) -> tuple[float, float]:
    """Hours of one trial, and the part of a machine that it occupies."""
    if training.gpus:
        return training.hours, 1 / training.trials_per_gpu
    # Snakemake caps the threads of a job at the number of cores.
    threads = min(training.threads, capacity)
    return training.hours * training.threads / threads, threads


def disk_bytes(config: Config, trainings: Sequence[TrainJob], gpus: int, cores: int) -> dict[str, float]:
    """Disk space by kind of file, existing files included.

    Args:
        config: the configuration.
        trainings: of `plan`.
        gpus: of the machine; with the cores, they limit how many trainings keep checkpoints at one time.
        cores: of the machine.
    """
    store = config.results / "data" / "slices.h5"
    side = config.values["data"]["phantom"]["size"] if config.source is None else 512
    drawn = (_IMAGE_BYTES * max(1, len(config.channels)) + _MASK_BYTES) * stored_slices(config)[0] * side**2
    return {
        **({"phantom": drawn} if config.source is None else {}),
        "slices": store.stat().st_size if store.is_file() else drawn,
        "weights": sum(WEIGHT_BYTES * one.parameters * one.trials for one in trainings),
        # One byte per pixel before compression.
        "predictions": sum(one.test_slices for one in trainings) * side**2,
        "checkpoints": _checkpoints(trainings, gpus, cores),
    }


def _checkpoints(trainings: Iterable[TrainJob], gpus: int, cores: int) -> float:
    """Bytes of all checkpoints if the trainings with the largest ones run at one time."""
    room = {True: float(gpus), False: float(cores)}
    total = 0.0
    for one in sorted(trainings, key=lambda one: one.checkpoint_bytes, reverse=True):
        on_gpu = one.gpus > 0
        share = 1 / one.trials_per_gpu if on_gpu else min(one.threads, cores)
        n = min(one.left, int(room[on_gpu] / share + 1e-9))
        room[on_gpu] -= n * share
        total += n * one.checkpoint_bytes
    return total
