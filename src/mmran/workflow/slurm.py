"""Slurm, before the first job: whether it answers, and whether it has what the experiments request.

Slurm accepts some jobs that no node can ever run, and leaves them in the queue. This module compares memory, time,
processors and GPUs with the partitions, and names the key of the configuration.
"""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from mmran.config.configuration import Config
from mmran.errors import UserError, known_names

# One line per node and partition; the asterisk after a partition's name marks the default.
_SINFO = ("sinfo", "--noheader", "--Node", "--format=%P|%l|%c|%m|%G")
_GPUS = re.compile(r"(?:^|,)gpu(?::[^:,(]+)?:(\d+)")


@dataclass(frozen=True)
class Node:
    """One node in one of its partitions.

    Attributes:
        partition: name.
        default: whether it takes jobs that name no partition.
        minutes: the longest a job may take there; None for no limit.
        cpus, memory_mb, gpus: of the whole node.
    """

    partition: str
    default: bool
    minutes: float | None
    cpus: int
    memory_mb: int
    gpus: int


def check(config: Config) -> None:
    """Compare what every experiment's jobs request with what the cluster has.

    Raises:
        UserError: there is no Slurm here, it does not answer, or no node of the partition fits a job.
    """
    found = nodes()
    for experiment in config.experiments():
        _check_job(experiment, config.resources(experiment), found)


def nodes() -> list[Node]:
    """The nodes of every partition.

    Raises:
        UserError: there is no Slurm here, or it does not answer.
    """
    for program in ("sbatch", "sinfo"):
        if shutil.which(program) is None:
            raise UserError(
                f"no Slurm on this machine: {program} is not on PATH; start on a login node of the cluster (perhaps "
                "after `module load slurm`), or run here without the profile: snakemake --cores all"
            )
    answer = subprocess.run(_SINFO, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        said = (answer.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise UserError(f"Slurm does not answer ({said}); run `sinfo`, and ask the cluster's administrators")
    return [_parse(line) for line in answer.stdout.splitlines() if line.strip()]


def _parse(line: str) -> Node:
    partition, limit, cpus, memory_mb, gres = line.strip().split("|", 4)
    gpus = sum(map(int, _GPUS.findall(gres)))
    return Node(
        partition.rstrip("*"), partition.endswith("*"), _minutes(limit), _number(cpus), _number(memory_mb), gpus
    )


def _number(text: str) -> int:
    # sinfo prints "64+" for a group of unlike nodes.
    return int(text.rstrip("+"))


def _minutes(limit: str) -> float | None:
    """Minutes of `infinite`, `30:00`, `1:00:00` or `7-00:00:00`."""
    days, _, clock = limit.rpartition("-")
    if not re.fullmatch(r"\d+(:\d+)*", clock):
        return None
    hours, minutes, seconds = ([0, 0] + [int(part) for part in clock.split(":")])[-3:]
    return int(days or 0) * 1440 + hours * 60 + minutes + seconds / 60


def _check_job(experiment: str, asked: dict[str, int | str], found: list[Node]) -> None:
    name = asked.get("partition")
    there = [node for node in found if (node.partition == name if name else node.default)]
    if name and not there:
        partitions = {node.partition for node in found}
        raise UserError(
            f"config: resources.partition of {experiment}: no partition {name!r}; {known_names(str(name), partitions)}"
        )
    if not there:
        return  # no default partition: Slurm may have a rule for this, and reports an error if it has none
    where = f"partition {there[0].partition!r}"
    limits: list[tuple[str, Callable[[Node], float], str]] = [
        ("gpus", lambda node: node.gpus, "name a partition with GPUs, or set gpus: 0"),
        ("threads", lambda node: node.cpus, "request fewer, or name another partition"),
        ("memory_mb", lambda node: node.memory_mb, "request less, or name another partition"),
        (
            "runtime_minutes",
            lambda node: float("inf") if node.minutes is None else node.minutes,
            "request that: a training that reaches its limit continues in the retry",
        ),
    ]
    for key, has, remedy in limits:
        most = max(map(has, there))
        if float(asked[key]) > most:
            raise UserError(
                f"config: resources.{key} of {experiment}: requests {asked[key]}, but a job in {where} can have at "
                f"most {most:g}; {remedy} (known partitions: {_partitions(found)})"
            )


def _partitions(found: list[Node]) -> str:
    """Every partition with the GPUs of its largest node."""
    most: dict[str, int] = {}
    for node in found:
        most[node.partition] = max(most.get(node.partition, 0), node.gpus)
    return ", ".join(f"{name} with {gpus} GPUs a node" if gpus else name for name, gpus in sorted(most.items()))
