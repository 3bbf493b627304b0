"""Trials through Ray: the same weights as without it, retries, named failures, nothing left behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.unit.training.trials import EXPERIMENT, experiment

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def write_spec(path: Path, **changes: object) -> Path:
    path.write_text(experiment(**changes).to_json())
    return path


def train_command(tiny: Path, spec: Path, folder: Path, *more: str) -> list[str]:
    command = [sys.executable, "-m", "mmran", "train", "--spec", str(spec), "--store", str(tiny / "data" / "slices.h5")]
    command += ["--split", str(tiny / "splits" / "paper.csv"), "--work", str(folder / "work")]
    return [*command, "--output", str(folder / "out"), *more]


# What these tests start, and what that starts in turn: another run on this machine has Ray's processes too.
MARK = {"MMRAN_STARTED_BY_TEST": str(os.getpid())}


def environment() -> dict[str, str]:
    others = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    return others | {"OMP_NUM_THREADS": "1"} | MARK


def digests(folder: Path) -> dict[str, str]:
    return {run["trial"]: run["weights_sha256"] for run in json.loads((folder / "out" / "runs.json").read_text())}


def ray_processes() -> set[int]:
    found = set()
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        with contextlib.suppress(psutil.Error):
            if any(name in command for name in ("raylet", "gcs_server", "ray::")) and is_ours(process):
                found.add(process.pid)
    return found


def is_ours(process: psutil.Process) -> bool:
    return process.status() != psutil.STATUS_ZOMBIE and MARK.items() <= process.environ().items()


def gone(pids: set[int], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not pids & ray_processes():
            return True
        time.sleep(0.2)
    return False


def train(tiny: Path, spec: Path, folder: Path, *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = train_command(tiny, spec, folder, *more)
    return subprocess.run(command, env=environment() | variables, capture_output=True, text=True, check=False)


def test_ray_and_no_ray_give_the_same_weights_and_an_added_seed_trains_alone(
    tiny: Path, tmp_path: Path, ray_head: dict[str, str]
) -> None:
    spec = write_spec(tmp_path / "spec.json", seeds=[1, 2], training={"epochs": 1})
    plain, ray = tmp_path / "plain", tmp_path / "ray"
    assert train(tiny, spec, plain, "--no-ray").returncode == 0
    log = tmp_path / "logs" / "train.log"
    nobody = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    done = train(tiny, spec, ray, "--log", str(log), **ray_head, **nobody)
    assert done.returncode == 0, done.stderr
    assert digests(ray) == digests(plain)
    # One line per training on the terminal, each epoch in the log.
    lines = sorted(done.stdout.splitlines())
    assert len(lines) == 2
    assert lines[0].startswith("tiny paper seed1-fold0: 1 epochs in 0:0")
    assert "best on validation: Dice " in lines[0]
    assert "epoch 1/1" in log.read_text()
    assert "tiny paper seed1-fold0: on 127.0.0.1" in log.read_text()
    # The worker knows the driver's variables, and a server that does not answer stops nothing.
    assert log.read_text().count("MLFLOW_TRACKING_URI is set, but MLflow does not track") == 2
    write_spec(spec, seeds=[1, 2, 3], training={"epochs": 1})
    again = train(tiny, spec, ray, "--verbose", **ray_head)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("already trained, kept") == 2
    assert "tiny paper seed3-fold0: in this process" in again.stdout
    assert set(digests(ray)) == {f"seed{seed}-fold0" for seed in (1, 2, 3)}


def test_a_single_trial_on_a_cpu_starts_no_ray_and_a_failed_one_is_named_with_the_end_of_its_log(
    tiny: Path, tmp_path: Path
) -> None:
    # A learning rate that makes the loss overflow in the first steps.
    spec = write_spec(tmp_path / "spec.json", training={"epochs": 2, "learning_rate": 1e30})
    # No folder for Ray's sockets: it would be refused. An empty RAY_ADDRESS is an unset one.
    nowhere = {"TMPDIR": str(tmp_path / ("x" * 20)), "RAY_ADDRESS": ""}
    done = train(tiny, spec, tmp_path, "--log", str(tmp_path / "train.log"), **nowhere)
    assert done.returncode == 1
    assert "1 of 1 trials failed: tiny paper seed1029-fold0: epoch " in done.stderr
    log = Path(done.stderr.rpartition("log: ")[2].strip().rstrip(")"))
    assert "the last good checkpoint is kept" in log.read_text()
    shown = done.stderr.splitlines()
    assert shown[0].startswith(f"{log}, last ")
    assert f"  {log.read_text().splitlines()[-1]}" in shown
    assert "error: 1 of 1 trials failed" in (tmp_path / "train.log").read_text()
    assert not (tmp_path / "out" / "runs.json").exists()


def wait_for(path: Path, process: subprocess.Popen[str], seconds: float = 120) -> Path:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = list(Path("/").glob(str(path.relative_to("/"))))
        if found:
            return found[0]
        assert process.poll() is None, process.stdout.read() if process.stdout else "ended before it was interrupted"
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear")


LONG = EXPERIMENT["training"] | {"epochs": 8, "checkpoint_minutes": 0}


@pytest.fixture(scope="module")
def plain(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two uninterrupted trainings."""
    folder = tmp_path_factory.mktemp("plain")
    done = train(tiny, write_spec(folder / "spec.json", seeds=[1, 2], training=LONG), folder, "--no-ray")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("victim", ["worker", "driver"])
def test_killed_in_mid_training_it_ends_with_the_same_weights(
    tiny: Path, tmp_path: Path, plain: Path, ray_head: dict[str, str], victim: str
) -> None:
    spec = write_spec(tmp_path / "spec.json", seeds=[1, 2], training=LONG)
    # The killed driver has a private head, which must not outlive it.
    variables = environment() | (ray_head if victim == "worker" else {})
    before, command = ray_processes(), train_command(tiny, spec, tmp_path, "--verbose")
    with subprocess.Popen(
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        checkpoint = wait_for(tmp_path / "work" / "*" / "latest.ckpt", process)
        if victim == "worker":
            trainers = [one for one in psutil.process_iter() if holds(one, checkpoint.with_name("train.log"))]
            assert trainers
            # A training beside others gets its share of the processor.
            assert {worker.nice() for worker in trainers} == {psutil.Process(process.pid).nice()}
            for worker in trainers:
                worker.kill()
        else:
            process.send_signal(signal.SIGKILL)
        output, _ = process.communicate(timeout=240)
    if victim == "driver":
        assert gone(ray_processes() - before), "Ray outlived its driver"
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        output = done.stdout
        assert gone(ray_processes() - before)
    else:
        assert process.returncode == 0, output
    assert "continuing after epoch" in output
    assert digests(tmp_path) == digests(plain)


def holds(process: psutil.Process, path: Path) -> bool:
    """Whether a process has a file open."""
    with contextlib.suppress(psutil.Error):
        return str(path.resolve()) in {file.path for file in process.open_files()}
    return False
