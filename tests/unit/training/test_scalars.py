"""TensorBoard scalars: one event per value and epoch, also across an interruption."""

import importlib.util
from pathlib import Path

import pytest

from mmran.errors import UserError
from mmran.training.history import HistoryRow
from mmran.training.scalars import Scalars, require_writer, scalars
from tests.unit.training.trials import experiment, only_trial, train


def row(epoch: int, loss: float) -> HistoryRow:
    return HistoryRow(
        epoch=epoch,
        stage="joint",
        losses={"loss": loss},
        values={"alpha": 0.5},
        val_dice=0.25,
        val_acc=None,
        score=0.25,
        images_per_s=10.0,
        seconds=1.0,
        device="cpu",
        precision="float32",
        threads=1,
    )


def written(folder: Path, tag: str) -> dict[int, float]:
    """Step -> value of a scalar, as TensorBoard would show it: the newest file of a step, unless purged."""
    from tensorboardX.proto.event_pb2 import Event

    found: dict[int, float] = {}
    for path in sorted(folder.glob("events.*"), key=lambda path: path.stat().st_mtime_ns):
        data, position = path.read_bytes(), 0
        while position < len(data):
            # A record: length as 8 bytes, its CRC as 4, the event, its CRC as 4.
            length = int.from_bytes(data[position : position + 8], "little")
            event = Event.FromString(data[position + 12 : position + 12 + length])
            position += 12 + length + 4
            if event.session_log.status == 1:  # START: what is later than its step is void
                found = {step: value for step, value in found.items() if step < event.step}
            found.update((event.step, value.simple_value) for value in event.summary.value if value.tag == tag)
    return found


def test_a_task_that_is_not_trained_yet_has_no_scalar() -> None:
    assert scalars(row(0, 1.0)) == {
        "train/loss": 1.0,
        "schedule/alpha": 0.5,
        "val/dice": 0.25,
        "val/score": 0.25,
        "speed/images_per_s": 10.0,
    }


def test_a_resumed_training_replaces_the_epochs_that_it_repeats(tmp_path: Path) -> None:
    with Scalars(tmp_path) as first:
        for epoch in range(3):
            first.write(row(epoch, 1.0))
    with Scalars(tmp_path) as second:
        second.write(row(1, 0.5))
    assert written(tmp_path, "train/loss") == {0: 1.0, 1: 0.5}


def test_without_the_writer_it_is_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"training\.tensorboard: true, but tensorboardX is not installed; run `pip"):
        require_writer()


def test_tensorboard_changes_no_digest() -> None:
    assert experiment(training={"tensorboard": True}).digest() == experiment().digest()


@pytest.mark.slow
def test_a_trial_writes_its_scalars_beside_the_results(tiny: Path, tmp_path: Path) -> None:
    found = only_trial(tiny, tmp_path / "results" / ".work", training={"epochs": 2, "tensorboard": True})
    train(found)
    assert found.scalars_folder == tmp_path / "results" / "tensorboard" / "tiny" / "paper" / "seed1029-fold0"
    assert sorted(written(found.scalars_folder, "val/dice")) == [0, 1]
