"""Simulated GPUs of one machine: jobs that share a head never hold one beyond its capacity."""

import itertools
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.workflow.conftest import ROOT
from tests.workflow.test_tuning import environment, train_command, write_spec

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def train_at_once(
    tiny: Path, folder: Path, reach: dict[str, str], expected: int, *jobs: tuple[int, int, int]
) -> list[dict[str, Any]]:
    """Start jobs as Snakemake does, each in its own process; returns what their trials wrote about their leases.

    Args:
        expected: how many trials wait for each other before they train.
        jobs: (seeds, --gpus, --trials-per-gpu) of each.
    """
    work = folder / "work"
    work.mkdir()
    (work / "expected").write_text(str(expected))
    program = [sys.executable, "-c", "import sys; from tests.workflow.gpu_leases import main; sys.exit(main())"]
    running = []
    for i, (seeds, gpus, trials_per_gpu) in enumerate(jobs):
        out = folder / str(i)
        out.mkdir()
        # No seed twice: two jobs with one trial train it once.
        spec = write_spec(out / "spec.json", seeds=list(range(10 * i, 10 * i + seeds)), training={"epochs": 1})
        more = ["--work", str(work), "--gpus", str(gpus), "--trials-per-gpu", str(trials_per_gpu)]
        running.append(
            subprocess.Popen(
                [*program, *train_command(tiny, spec, out, *more)[3:]],
                env=environment() | reach | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    for process in running:
        said, _ = process.communicate(timeout=240)
        assert process.returncode == 0, said
    leases = [json.loads(path.read_text()) for path in sorted((work / "leases").glob("*.json"))]
    assert len(leases) == sum(seeds for seeds, _, _ in jobs)
    return leases


def most_held(leases: Sequence[dict[str, Any]]) -> dict[str, tuple[float, int]]:
    """GPU -> the largest sum of shares, and the largest number of trials, that held it at one time."""
    changes = defaultdict(list)
    for lease in leases:
        for gpu in lease["gpus"]:
            changes[gpu] += [(lease["begin_ns"], 1, lease["share"]), (lease["end_ns"], -1, -lease["share"])]
    most = {}
    for gpu, events in changes.items():
        # In the order of time; what ends at a time comes before what begins.
        held = list(itertools.accumulate(share for _, _, share in sorted(events)))
        trials = list(itertools.accumulate(change for _, change, _ in sorted(events)))
        most[gpu] = max(held), max(trials)
    return most


def taken_as_one(leases: Sequence[dict[str, Any]]) -> tuple[float, int]:
    """The largest sum of shares, and number of trials, that held any GPU at one time."""
    return most_held([lease | {"gpus": ["all"]} for lease in leases if lease["gpus"]])["all"]


def sees_what_it_leases(lease: dict[str, Any]) -> bool:
    return lease["visible"] == ",".join(lease["gpus"]) and len(lease["gpus"]) == lease["asked"]


def test_trials_with_whole_gpus_never_share_one(tiny: Path, tmp_path: Path, ray_head: dict[str, str]) -> None:
    # Two GPUs; three trials of two jobs lease one each, and two trials of another job lease none.
    leases = train_at_once(tiny, tmp_path, ray_head, 4, (2, 1, 1), (1, 1, 1), (2, 0, 1))
    assert sorted(lease["share"] for lease in leases) == [0, 0, 1, 1, 1]
    assert most_held(leases) == {"4": (1, 1), "6": (1, 1)}
    assert taken_as_one(leases) == (2, 2)
    assert all(sees_what_it_leases(lease) for lease in leases)


def test_trials_with_parts_of_gpus_never_hold_more_than_a_whole(
    tiny: Path, tmp_path: Path, ray_head: dict[str, str]
) -> None:
    # Two halves and three thirds on two GPUs. Any two of them fit on one, so four run at a time; five if both halves
    # are on one.
    leases = train_at_once(tiny, tmp_path, ray_head, 4, (2, 1, 2), (3, 1, 3))
    assert sorted(lease["share"] for lease in leases) == pytest.approx([1 / 3] * 3 + [1 / 2] * 2, abs=1e-4)
    most = most_held(leases)
    assert set(most) == {"4", "6"}
    assert all(held <= 1 + 1e-9 and trials <= 3 for held, trials in most.values())
    assert taken_as_one(leases)[1] in (4, 5)
    assert all(sees_what_it_leases(lease) for lease in leases)


def test_these_checks_detect_what_two_separate_heads_would_do() -> None:
    # Each hands out its GPU 0: from 20 to 30 two trials hold it.
    leases = [
        {"gpus": ["0"], "share": 1.0, "begin_ns": 10, "end_ns": 30},
        {"gpus": ["0"], "share": 1.0, "begin_ns": 20, "end_ns": 40},
        {"gpus": ["1"], "share": 0.5, "begin_ns": 10, "end_ns": 20},
        {"gpus": ["1"], "share": 0.5, "begin_ns": 20, "end_ns": 40},
    ]
    assert most_held(leases) == {"0": (2, 2), "1": (0.5, 1)}
    # From 20 to 30: 1 + 1 + .5.
    assert taken_as_one(leases) == (2.5, 3)
