"""Checkpoints in the background: when one is written, and that none is lost when a training stops."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from mmran.errors import UserError
from mmran.training.checkpoint import CheckpointFolder
from mmran.training.saver import Saver, host_copy


class Written(CheckpointFolder):
    """Remembers what is saved, instead of saving it."""

    def __init__(self) -> None:
        super().__init__(Path("nowhere"), "digest")
        object.__setattr__(self, "values", [])

    def save(self, values: dict[str, Any]) -> None:
        self.values.append(values["epoch"])


def saver(folder: CheckpointFolder, minutes: float, log: list[str] | None = None) -> Saver:
    return Saver(folder, minutes, (log if log is not None else []).append)


def train(
    folder: CheckpointFolder, minutes: float, epochs: int, stop: BaseException, log: list[str] | None = None
) -> None:
    """Offer a snapshot of each epoch, then stop."""
    with saver(folder, minutes, log) as saving:
        for epoch in range(epochs):
            saving.offer({"epoch": epoch})
        raise stop


def test_with_no_interval_every_epoch_is_written_in_order() -> None:
    folder = Written()
    with saver(folder, 0) as saving:
        for epoch in range(5):
            saving.offer({"epoch": epoch})
    assert folder.values == [0, 1, 2, 3, 4]


def test_within_the_interval_only_the_last_epoch_is_written_at_the_end() -> None:
    folder = Written()
    with saver(folder, 60) as saving:
        for epoch in range(5):
            saving.offer({"epoch": epoch})
        assert folder.values == []
    assert folder.values == [4]


@pytest.mark.parametrize("stop", [SystemExit(143), KeyboardInterrupt(), ValueError("a defect")])
def test_whatever_stops_a_training_its_last_epoch_is_written(stop: BaseException) -> None:
    folder = Written()
    with pytest.raises(type(stop)):
        train(folder, 60, 1, stop)
    assert folder.values == [0]


def test_training_goes_on_while_a_checkpoint_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    now, disk = [0.0], threading.Event()
    monkeypatch.setattr("mmran.training.saver.time.monotonic", lambda: now[0])
    folder = Written()
    save = folder.save

    def slow(values: dict[str, Any]) -> None:
        assert disk.wait(10)
        save(values)

    object.__setattr__(folder, "save", slow)
    with saver(folder, 1) as saving:
        for epoch in range(4):
            now[0] += 61
            saving.offer({"epoch": epoch})  # the first write is not done; the others would wait for it
        assert folder.values == []
        disk.set()
    assert folder.values == [0, 3]


class Full(CheckpointFolder):
    def save(self, values: dict[str, Any]) -> None:
        raise UserError("latest.ckpt: cannot be written (No space left on device)")


def test_a_full_disk_stops_the_training() -> None:
    with pytest.raises(UserError, match="No space left"):
        train(Full(Path("nowhere"), "digest"), 0, 2, AssertionError("trained on"))


def test_a_full_disk_does_not_hide_what_stopped_the_training() -> None:
    log: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        train(Full(Path("nowhere"), "digest"), 60, 1, KeyboardInterrupt(), log)
    assert log == ["warning: latest.ckpt: cannot be written (No space left on device)"]


def test_a_copy_does_not_follow_the_weights_and_keeps_their_layout() -> None:
    weight = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last).requires_grad_()
    copy = host_copy({"a": [weight, 1], "b": "text"})
    with torch.no_grad():
        before = weight.clone()
        weight.add_(1)
    assert torch.equal(copy["a"][0], before)
    assert copy["a"][0].is_contiguous(memory_format=torch.channels_last)
    assert not copy["a"][0].requires_grad
    assert copy["b"] == "text"
