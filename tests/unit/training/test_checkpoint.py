"""Checkpoints: whole, checked, never the only copy."""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mmran.errors import UserError
from mmran.training import checkpoint
from mmran.training.checkpoint import CheckpointFolder


def folder(path: Path) -> CheckpointFolder:
    return CheckpointFolder(path, "digest-of-the-trial")


def load(path: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """The newest usable checkpoint, and the warnings on the way to it."""
    warnings: list[str] = []
    values = next((values for _, values in folder(path).load(warnings.append)), None)
    return values, warnings


def flip_one_bit(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(bytes(data))


def test_what_was_saved_is_loaded_to_the_bit(tmp_path: Path) -> None:
    weights = torch.randn(3, 5)
    folder(tmp_path).save({"weights": weights, "epoch": 3, "history": [{"loss": 0.5, "stage": "joint"}]})
    state, complaints = load(tmp_path)
    assert complaints == []
    assert state is not None
    assert torch.equal(state["weights"], weights)
    assert state["history"] == [{"loss": 0.5, "stage": "joint"}]


def test_no_checkpoint_is_no_state(tmp_path: Path) -> None:
    assert load(tmp_path) == (None, [])


@pytest.mark.parametrize("position", [3, 40, 200, -1])
def test_one_flipped_bit_is_noticed_and_the_checkpoint_before_is_used(tmp_path: Path, position: int) -> None:
    for epoch in (1, 2):
        folder(tmp_path).save({"epoch": epoch})
    flip_one_bit(tmp_path / "latest.ckpt", position)
    state, complaints = load(tmp_path)
    assert state is not None
    assert state["epoch"] == 1
    assert len(complaints) == 1
    assert "latest.ckpt" in complaints[0]


@pytest.mark.parametrize("length", [0, 10, 150])
def test_a_truncated_checkpoint_is_noticed(tmp_path: Path, length: int) -> None:
    for epoch in (1, 2):
        folder(tmp_path).save({"epoch": epoch})
    path = tmp_path / "latest.ckpt"
    path.write_bytes(path.read_bytes()[:length])
    state, complaints = load(tmp_path)
    assert state is not None
    assert state["epoch"] == 1
    assert len(complaints) == 1


def test_the_checkpoint_of_another_trial_is_passed_over(tmp_path: Path) -> None:
    CheckpointFolder(tmp_path, "another").save({"epoch": 7})
    state, complaints = load(tmp_path)
    assert state is None
    assert "another experiment" in complaints[0]


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.marker}'",)


def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    pickle.loads(pickle.dumps(Hostile(marker)))
    assert marker.exists(), "the payload is not hostile, so the test shows nothing"
    marker.unlink()
    path = tmp_path / "latest.ckpt"
    checkpoint.write(path, {"trap": Hostile(marker)})
    with pytest.raises(UserError, match="more than plain values"):
        checkpoint.read(path)
    assert not marker.exists()


KILLED_IN_A_SAVE = """
import os, signal, sys, threading, time
from pathlib import Path
import torch
from mmran.training.checkpoint import CheckpointFolder
folder = CheckpointFolder(Path(sys.argv[1]), "digest-of-the-trial")
folder.save({"epoch": 0, "weights": torch.zeros(200_000)})
threading.Thread(target=lambda: (time.sleep(float(sys.argv[2])), os.kill(os.getpid(), signal.SIGKILL))).start()
epoch = 1
while True:
    folder.save({"epoch": epoch, "weights": torch.full((200_000,), float(epoch))})
    epoch += 1
"""


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.002, 0.006, 0.011, 0.017, 0.024])
def test_killed_at_any_instant_of_a_save_a_whole_checkpoint_is_left(tmp_path: Path, delay: float) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED_IN_A_SAVE, str(tmp_path), str(delay)], check=False)
    assert killed.returncode == -signal.SIGKILL
    state, complaints = load(tmp_path)
    assert state is not None
    assert complaints == []
    assert torch.equal(state["weights"], torch.full((200_000,), float(state["epoch"])))
