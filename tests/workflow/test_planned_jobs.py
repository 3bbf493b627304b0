"""The jobs that a plan counts are those that Snakemake would run."""

import json
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.workflow.conftest import TINY, House, make_house

pytestmark = pytest.mark.workflow


def dry_run(house: House) -> dict[str, int]:
    done = house.snakemake("-n", "--quiet", "host")
    assert done.returncode == 0, done.stdout + done.stderr
    if "Nothing to be done" in done.stdout + done.stderr:
        return {}
    counts = Counter[str]()
    for rule, n in re.findall(r"^(\w+) +(\d+)$", (done.stdout + done.stderr).split("Job stats:")[1], re.MULTILINE):
        if rule not in ("all", "total"):
            counts[rule.removesuffix("_under")] += int(n)
    return dict(counts)


def planned(house: House) -> dict[str, int]:
    done = house.run(sys.executable, "-m", "mmran", "plan", "--json")
    assert done.returncode == 0, done.stderr
    jobs: dict[str, int] = json.loads(done.stdout)["jobs"]
    return jobs


def test_before_anything_is_there(tmp_path: Path) -> None:
    house = make_house(tmp_path / "house")
    house.configure(evaluate_under=["paper", "patient"])
    # Three experiments and three tables under each of two protocols.
    found = planned(house)
    assert (found["train"], found["table"], found["split"]) == (6, 6, 2)
    assert found == dry_run(house)


def test_when_everything_is_there(built: House) -> None:
    assert planned(built) == dry_run(built) == {}


def test_when_one_experiment_has_changed(house: House) -> None:
    experiments = TINY["experiments"] | {"se": {"network": {"attention": "se"}, "training": {"epochs": 2}}}  # type: ignore[operator]
    house.configure(experiments=experiments)
    found = planned(house)
    # Both tables that show it, and the one of its size.
    assert found == {"train": 1, "predict": 1, "evaluate": 1, "networks": 1, "table": 2}
    assert found == dry_run(house)
