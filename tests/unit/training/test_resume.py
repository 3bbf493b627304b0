"""Resuming: the same bits, from whatever checkpoint is usable, on whatever machine."""

import csv
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from mmran.training import checkpoint, run
from mmran.training.record import RunRecord
from mmran.training.trial import Trial
from tests.unit.training.trials import Stopped, equal, only_trial, stop_after, train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def uninterrupted(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    return train(only_trial(tiny, tmp_path_factory.mktemp("uninterrupted")))


@pytest.mark.parametrize("epochs", [[0], [1], [2], [0, 1, 2]])
def test_interrupted_and_started_again_it_ends_in_the_same_bits(
    tiny: Path, tmp_path: Path, uninterrupted: dict[str, torch.Tensor], epochs: list[int]
) -> None:
    found = only_trial(tiny, tmp_path)
    for epoch in epochs:
        with pytest.raises(Stopped):
            train(found, on_epoch=stop_after(epoch))
    assert equal(train(found), uninterrupted)
    assert pd.read_csv(found.folder / "history.csv")["epoch"].tolist() == [0, 1, 2]


def test_a_damaged_checkpoint_costs_one_epoch_and_no_bit(
    tiny: Path, tmp_path: Path, uninterrupted: dict[str, torch.Tensor]
) -> None:
    found = only_trial(tiny, tmp_path)
    with pytest.raises(Stopped):
        train(found, on_epoch=stop_after(1))
    latest = found.folder / "latest.ckpt"
    latest.write_bytes(latest.read_bytes()[:-100])
    assert equal(train(found), uninterrupted)


def log_of(found: Trial, **options: Any) -> str:
    """What training a trial logs."""
    lines: list[str] = []
    run.run_trial(found, gpu=False, log=lines.append, **{"threads": 1, **options})
    return "\n".join(lines)


def interrupted(tiny: Path, folder: Path, after: int, **changes: Any) -> Trial:
    """A trial that was killed after an epoch."""
    found = only_trial(tiny, folder, **changes)
    with pytest.raises(Stopped):
        train(found, on_epoch=stop_after(after))
    return found


@pytest.mark.parametrize("lost", ["optimizers", "state", "best", "machine", "network"])
def test_a_checkpoint_that_lacks_a_part_is_named_and_the_one_before_is_used(
    tiny: Path, tmp_path: Path, uninterrupted: dict[str, torch.Tensor], lost: str
) -> None:
    found = interrupted(tiny, tmp_path, 1)
    path = found.folder / "latest.ckpt"
    checkpoint.write(path, {key: value for key, value in checkpoint.read(path).items() if key != lost})
    log = log_of(found)
    assert f"warning: {path}: not a usable checkpoint ('{lost}'); ignored" in log
    assert "continuing after epoch 1 of 3" in log
    assert equal(train(found), uninterrupted)


def test_without_a_usable_checkpoint_it_says_so_and_starts_from_the_beginning(
    tiny: Path, tmp_path: Path, uninterrupted: dict[str, torch.Tensor]
) -> None:
    found = interrupted(tiny, tmp_path, 1)
    for name in ("latest.ckpt", "previous.ckpt"):
        checkpoint.write(found.folder / name, {"digest": found.digest})
    log = log_of(found)
    assert log.count("not a usable checkpoint") == 2
    assert "warning: no usable checkpoint; training from the beginning" in log
    assert equal(train(found), uninterrupted)


def test_the_history_is_that_of_the_checkpoint_whatever_the_file_says(tiny: Path, tmp_path: Path) -> None:
    found = interrupted(tiny, tmp_path, 1)
    lines = found.history_path.read_text().splitlines(keepends=True)
    # Killed between checkpoint and history: the last epoch is missing.
    found.history_path.write_text("".join(lines[:-1]))
    log_of(found)
    with found.history_path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert ",".join(rows[1].values()) == lines[2].strip()


def test_a_continuation_in_another_precision_is_warned_of_and_recorded_for_every_epoch(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = interrupted(tiny, tmp_path, 0, training={"precision": "auto"})
    before = pd.read_csv(found.history_path)["precision"][0]
    other = {"float32": "bfloat16", "bfloat16": "float32"}[before]
    # As on a machine whose processor computes the other one faster.
    monkeypatch.setattr("mmran.training.device._dtype", lambda *a: getattr(torch, other))
    log = log_of(found)
    assert f"(cpu, {before}, threads: 1), the next run on" in log
    assert pd.read_csv(found.history_path)["precision"].tolist() == [before, other, other]
    record = RunRecord.read(found.record_path)
    assert record.mixed_compute
    assert record.precision == other


def test_a_training_on_one_machine_is_recorded_as_such(tiny: Path, tmp_path: Path) -> None:
    found = interrupted(tiny, tmp_path, 0)
    assert "warning" not in log_of(found)
    assert not RunRecord.read(found.record_path).mixed_compute


def test_leftovers_of_killed_writes_are_swept(tiny: Path, tmp_path: Path) -> None:
    found = interrupted(tiny, tmp_path, 0)
    for name in (".fresh.ckpt.x1y2.partial", ".history.csv.x1y2.partial"):
        (found.folder / name).write_text("half")
    log_of(found)
    assert {path.name for path in found.folder.iterdir()} == {
        "lock",
        "weights.safetensors",
        "history.csv",
        "run.json",
    }
