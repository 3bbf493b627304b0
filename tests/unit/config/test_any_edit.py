"""Whatever is edited: the jobs that run again are those whose digest changed."""

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmran.config.configuration import Config
from mmran.config.jobs import plan_jobs
from mmran.config.load import overlay
from mmran.config.reruns import judge
from mmran.errors import UserError
from tests.unit.config.finished import finish, small

HOME: dict[str, Any] = {
    "source": "slices",
    "evaluate_under": ["paper", "mine"],
    "protocols": {"mine": {"method": "file", "path": "mine.csv", "apart": "none"}},
}

# Choices, which no arithmetic reaches.
CHOICES: tuple[dict[str, Any], ...] = (
    {"defaults": {"loss": {"dice": "printed"}}},
    {"defaults": {"input": {"fit": "resample"}}},
    {"defaults": {"training": {"selection": "last"}}},
    {"defaults": {"training": {"precision": "bfloat16"}}},
    {"defaults": {"schedule": {"name": "freeze"}}},
    {"experiments": {"se": {"network": {"attention": "scse"}}}},
    {"experiments": {"se": {"network": {"mask_prior": None}}}},
    {"experiments": {"plain": {"network": {"name": "he"}}}},
    {"experiments": {"baseline": "se"}},
    {"protocols": {"paper": {"method": "family", "apart": "family"}}},
    {"tables": {"table1": {"metrics": ["acc"]}}},
    {"figures": {"figure8": {"kind": "confusion"}}},
)


def leaves(values: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(values, dict | list) and values:
        for key, child in values.items() if isinstance(values, dict) else enumerate(values):
            yield from leaves(child, (*place, key))
    else:
        yield place


def other(value: Any) -> Any:
    """A value of the same type that differs."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return value * 0.5 + 0.125 if isinstance(value, float) else f"{value}x"


def with_another_leaf(values: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    edited = copy.deepcopy(values)
    *parents, last = draw.choice([place for place in leaves(values) if place[0] not in ("results", "source")])
    at: Any = edited
    for key in parents:
        at = at[key]
    at[last] = other(at[last])
    return edited


def edited(values: dict[str, Any], draw: random.Random) -> Config:
    """The configuration after one edit: of a value, of a slice, or of a csv."""
    kind = draw.choice(["leaf", "leaf", "leaf", "choice", "source", "csv"])
    if kind == "source":
        Path(f"slices/{draw.randint(1, 4)}.mat").write_text(f"edited {draw.random()}")
    elif kind == "csv":
        Path("mine.csv").write_text(f"slice,fold,role\n1,0,{draw.choice(['val', 'test'])}\n")
    while True:
        try:
            if kind == "leaf":
                return Config.checked(with_another_leaf(values, draw))
            return Config.checked(overlay(values, draw.choice(CHOICES)) if kind == "choice" else values)
        except UserError:  # an impossible value
            continue


@pytest.mark.slow
def test_the_jobs_that_run_after_any_edit_are_those_whose_digest_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("slices").mkdir()
    for number in (1, 2, 3):
        Path(f"slices/{number}.mat").write_text(str(number))
    Path("mine.csv").write_text("slice,fold,role\n1,0,train\n")
    config = small(**HOME)
    finish(config)
    before = {name: job.digest for name, job in plan_jobs(config).items()}
    draw, sizes = random.Random(1029), set()
    for _ in range(40):
        verdict = judge(edited(copy.deepcopy(config.values), draw))
        changed = {name for name, job in verdict.jobs.items() if before.get(name) != job.digest}
        assert set(verdict.would_run()) == changed
        sizes.add(len(changed))
        for number in (1, 2, 3):
            Path(f"slices/{number}.mat").write_text(str(number))
        Path("slices/4.mat").unlink(missing_ok=True)
        Path("mine.csv").write_text("slice,fold,role\n1,0,train\n")
    # From nothing, over one table, to everything.
    assert len(sizes) > 5
    assert 0 in sizes
