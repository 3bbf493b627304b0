"""What trainings add up to: jobs, hours on so many GPUs, disk."""

from collections.abc import Iterable, Sequence
from typing import Any

from mmran.config.configuration import Config
from mmran.config.reruns import judge
from mmran.planning.slices import stored_slices
from mmran.planning.trainings import BYTES, Training

_SLICE_BYTES = 3
"""Of a pixel: 16 bits of image and 8 of mask."""


def totals(config: Config, trainings: Sequence[Training], gpus: int, cores: int) -> dict[str, Any]:
    """Jobs, hours and bytes of a configuration on so many GPUs, or cores where it asks for no GPU."""
    on_gpu, on_cpu = [one for one in trainings if one.gpus], [one for one in trainings if not one.gpus]
    return {
        "jobs": judge(config).counts(),
        "gpus": gpus if on_gpu else 0,
        "cores": cores if on_cpu else 0,
        "gpu_hours": sum(one.device_hours for one in on_gpu),
        "core_hours": sum(one.device_hours for one in on_cpu),
        "finish_hours": max(finish_hours(on_gpu, gpus, 1), finish_hours(on_cpu, 1, cores)),
        "disk_bytes": disk_bytes(config, trainings, gpus, cores),
    }


def finish_hours(trainings: Iterable[Training], machines: int, capacity: float) -> float:
    """Hours until all are done, the longest first, each as soon as a machine has room for it.

    Args:
        trainings: what is left of them is run.
        machines: GPUs; 1 for the cores of one machine.
        capacity: of each: 1 for a GPU, the number of cores.
    """
    waiting = [_lease(one, capacity) for one in trainings for _ in range(one.left)]
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


def _lease(training: Training, capacity: float) -> tuple[float, float]:
    """Hours of one training, and how much of a machine it has for so long."""
    if training.gpus:
        return training.hours, 1 / training.trials_per_gpu
    # Snakemake gives a job no more threads than there are cores.
    threads = min(training.threads, capacity)
    return training.hours * training.threads / threads, threads


def disk_bytes(config: Config, trainings: Sequence[Training], gpus: int, cores: int) -> dict[str, float]:
    """Bytes of what a configuration lays down, by kind, what is there already included.

    Args:
        config: the configuration.
        trainings: of `plan`.
        gpus, cores: as many trainings as they hold run side by side, each with its checkpoints.
    """
    store = config.results / "data" / "slices.h5"
    side = config.values["data"]["phantom"]["size"] if config.source is None else 512
    drawn = _SLICE_BYTES * stored_slices(config)[0] * side**2
    return {
        **({"phantom": drawn} if config.source is None else {}),
        "slices": store.stat().st_size if store.is_file() else drawn,
        "weights": sum(BYTES * one.parameters * one.trials for one in trainings),
        # One byte a pixel before compression.
        "predictions": sum(one.test_slices for one in trainings) * side**2,
        "checkpoints": _checkpoints(trainings, gpus, cores),
    }


def _checkpoints(trainings: Iterable[Training], gpus: int, cores: int) -> float:
    """Bytes of the checkpoints in progress, were those with the largest to run side by side."""
    room = {True: float(gpus), False: float(cores)}
    total = 0.0
    for one in sorted(trainings, key=lambda one: one.checkpoint_bytes, reverse=True):
        on_gpu = one.gpus > 0
        share = 1 / one.trials_per_gpu if on_gpu else min(one.threads, cores)
        n = min(one.left, int(room[on_gpu] / share + 1e-9))
        room[on_gpu] -= n * share
        total += n * one.checkpoint_bytes
    return total
