"""SIGTERM, as a scheduler sends it: the epochs since the last checkpoint are not lost."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.unit.training.trials import experiment

pytestmark = pytest.mark.slow

IN_A_THREAD = """
import signal, sys, threading, time
from pathlib import Path
from mmran.training.checkpoint import CheckpointFolder
from mmran.training.saver import Saver

def train():
    with Saver(CheckpointFolder(Path(sys.argv[1]), "digest"), 60, print) as saver:
        for epoch in range(1000):
            saver.offer({"epoch": epoch})
            print("epoch", epoch, flush=True)
            time.sleep(0.01)

signal.signal(signal.SIGTERM, lambda *a: sys.exit(1))
threading.Thread(target=train, daemon=True).start()
while True:
    time.sleep(0.05)
"""


def stopped_after(command: list[str], text: str) -> int:
    """Run a command until a line holds a text, send SIGTERM; returns how it ended."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        hung = threading.Timer(240, process.kill)
        hung.start()
        for line in process.stdout:
            if text in line:
                break
        process.send_signal(signal.SIGTERM)
        status = process.wait(60)
        hung.cancel()
        return status


def test_a_training_that_is_stopped_continues_after_its_last_complete_epoch(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(experiment(training={"epochs": 900, "checkpoint_minutes": 600}).to_json())
    command = [sys.executable, "-m", "mmran", "train", "--no-ray", "--verbose", "--spec", str(tmp_path / "spec.json")]
    command += ["--store", str(tiny / "data" / "slices.h5"), "--split", str(tiny / "splits" / "paper.csv")]
    command += ["--work", str(tmp_path / "work"), "--output", str(tmp_path / "out")]
    assert stopped_after(command, "epoch 2/900") == 128 + signal.SIGTERM
    assert len(list(tmp_path.glob("work/*/latest.ckpt"))) == 1
    assert stopped_after(command, "continuing after epoch") == 128 + signal.SIGTERM


def test_a_training_in_a_thread_is_kept_when_the_process_ends(tmp_path: Path) -> None:
    assert stopped_after([sys.executable, "-c", IN_A_THREAD, str(tmp_path)], "epoch 3") == 1
    assert (tmp_path / "latest.ckpt").is_file()
