"""A Slurm for all tests of this folder, and what it remembers of its jobs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.slurm import ask, cluster, unavailable
from tests.workflow.conftest import House

PROFILE = ("--workflow-profile", "workflow/profiles/slurm")
# Answers sooner than a cluster of many should be asked for.
QUICK = (*PROFILE, "--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "10")


@dataclass(frozen=True)
class Job:
    """What `scontrol` says of one job.

    Attributes:
        number: Slurm's.
        what: rule and wildcards, as Snakemake's executor notes them.
        state: RUNNING, COMPLETED, CANCELLED, FAILED, TIMEOUT, ...
        values: all of it.
    """

    number: str
    what: str
    state: str
    values: dict[str, str]


def jobs() -> list[Job]:
    """Every job, in the order of submission."""
    found = []
    for line in ask("scontrol", "show", "jobs", "--oneliner").splitlines():
        values = dict(re.findall(r"(\w+)=(\S*)", line))
        if "JobId" in values:
            found.append(Job(values["JobId"], values.get("Comment", ""), values["JobState"], values))
    return sorted(found, key=lambda job: int(job.number))


@pytest.fixture(scope="session")
def slurm() -> Iterator[Path]:
    """A Slurm of two nodes; skips, with the reason, where there can be none."""
    reason = unavailable()
    if reason:
        pytest.skip(f"no Slurm here: {reason}")
    with cluster() as folder:
        yield folder


def compute_on_cpu(house: House) -> None:
    """Ask Slurm for a GPU and compute on the CPU: what stands for GPUs here cannot compute."""
    for rules in ("train", "evaluate"):
        house.edit(f"workflow/rules/{rules}.smk", "--gpus {resources.gpu}", "--gpus 0")
