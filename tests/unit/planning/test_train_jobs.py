"""What is left to train, and the room that its checkpoints take."""

import shutil
from pathlib import Path
from unittest import mock

import pytest
import torch

from mmran.config.configuration import Config
from mmran.files import write_json, write_text
from mmran.planning import train_jobs
from mmran.training.checkpoint import CheckpointFolder
from mmran.training.device import Compute
from mmran.training.recipe import make_recipe
from tests.unit.planning.plans import config, only, stand_in, trials


@pytest.fixture
def mine(tiny: Path, tmp_path: Path) -> Config:
    """One experiment over slices and a split that are there."""
    results = tmp_path / "results"
    for name in ("data", "splits"):
        shutil.copytree(tiny / name, results / name)
    return config(results)


def would_run(monkeypatch: pytest.MonkeyPatch, *jobs: str) -> None:
    """Let the records of the results say which jobs would run."""
    monkeypatch.setattr(train_jobs, "judge", lambda config: mock.Mock(would_run=lambda: list(jobs)))


def test_what_is_trained_and_evaluated_costs_nothing_even_where_its_work_folder_is_gone(
    mine: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    would_run(monkeypatch, "table/table2/paper")
    training = only(mine)
    assert (training.finished, training.left, training.device_hours, training.evaluated) == (1, 0, 0, True)


@pytest.mark.parametrize(
    ("jobs", "finished", "published"),
    [(["train/mmran/paper", "evaluate/mmran/paper"], 0, False), (["evaluate/mmran/paper"], 1, True)],
)
def test_outdated_results_are_made_again(
    mine: Config, monkeypatch: pytest.MonkeyPatch, jobs: list[str], finished: int, published: bool
) -> None:
    would_run(monkeypatch, *jobs)
    training = only(mine)
    assert (training.finished, training.published, training.evaluated) == (finished, published, False)


def test_a_trial_that_finished_under_another_name_is_found_by_its_digest(mine: Config) -> None:
    (trial,) = trials(mine)
    write_json(trial.folder / "run.json", {})
    assert only(mine).finished == 0
    write_text(trial.folder / "weights.safetensors", "")
    training = only(mine)
    # The job that publishes its results is still to come.
    assert (training.finished, training.published) == (1, False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mmran", "rv-gan"])
def test_checkpoints_take_the_room_that_is_planned_for_them(name: str, tmp_path: Path) -> None:
    experiment, batch = stand_in(name, 32, 0.25)
    recipe = make_recipe(experiment, Compute(torch.device("cpu"), torch.float32, 1))
    (stage,) = recipe.stages()
    recipe.begin(stage)
    recipe.step(batch, stage, 0)
    folder = CheckpointFolder(tmp_path / "one", "digest")
    optimizers = {key: optimizer.state_dict() for key, optimizer in recipe.optimizers.items()}
    weights = recipe.network.state_dict()
    best = {key: value.clone() for key, value in weights.items()}
    folder.save({"network": weights, "optimizers": optimizers, "best": best})
    held = (folder.path / "latest.ckpt").stat().st_size
    rows = [{"label": name, "experiment": name}]
    table = {"title": "One", "kind": "metrics", "metrics": ["dice"], "rows": rows}
    small = {"defaults": {"network": {"width": 0.25}, "input": {"size": 32}}}
    training = only(config(tmp_path / "new", tables={"table2": table}, **small))
    # The latest, the one before, and the one that is being written.
    assert 3 * held == pytest.approx(training.checkpoint_bytes, rel=0.02)
