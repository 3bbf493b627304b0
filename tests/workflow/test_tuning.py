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


def test_ray_and_no_ray_give_the_same_weights_and_an_added_seed_trains_alone(tiny: Path, tmp_path: Path) -> None:
    spec = write_spec(tmp_path / "spec.json", seeds=[1, 2], training={"epochs": 1})
    before = ray_processes()
    plain = tmp_path / "plain"
    subprocess.run(train_command(tiny, spec, plain, "--no-ray"), env=environment(), check=True)
    ray = tmp_path / "ray"
    done = subprocess.run(
        train_command(tiny, spec, ray), env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert digests(ray) == digests(plain)
    assert "epoch 1/1" in done.stdout
    assert "tiny seed1-fold0: on 127.0.0.1" in done.stdout
    assert gone(ray_processes() - before)
    write_spec(spec, seeds=[1, 2, 3], training={"epochs": 1})
    again = subprocess.run(
        train_command(tiny, spec, ray), env=environment(), capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("trained before, kept") == 2
    assert set(digests(ray)) == {f"seed{seed}-fold0" for seed in (1, 2, 3)}


def test_a_failed_trial_is_named_with_its_log(tiny: Path, tmp_path: Path) -> None:
    # A learning rate that makes the loss overflow in the first steps.
    spec = write_spec(tmp_path / "spec.json", training={"epochs": 2, "learning_rate": 1e30})
    done = subprocess.run(
        train_command(tiny, spec, tmp_path), env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "1 of 1 trials failed: tiny seed1029-fold0: epoch " in done.stderr
    log = Path(done.stderr.rpartition("log: ")[2].strip().rstrip(")"))
    assert "the last good checkpoint is kept" in log.read_text()
    assert not (tmp_path / "out" / "runs.json").exists()


def wait_for(path: Path, process: subprocess.Popen[str], seconds: float = 120) -> Path:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = list(path.parent.glob(path.name)) if path.parent.exists() else []
        if found:
            return found[0]
        assert process.poll() is None, "ended before it was interrupted"
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear")


@pytest.mark.parametrize("victim", ["worker", "driver"])
def test_killed_in_mid_training_it_ends_with_the_same_weights(tiny: Path, tmp_path: Path, victim: str) -> None:
    spec = write_spec(tmp_path / "spec.json", training=EXPERIMENT["training"] | {"epochs": 12})
    plain = tmp_path / "plain"
    subprocess.run(train_command(tiny, spec, plain, "--no-ray"), env=environment(), check=True)
    before = ray_processes()
    folder = tmp_path / "killed"
    command = train_command(tiny, spec, folder)
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    work = folder / "work"
    end = time.monotonic() + 120
    while not list(work.glob("*/latest.ckpt")):
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        assert time.monotonic() < end
        time.sleep(0.05)
    if victim == "worker":
        # Its own: another run on this machine has such workers too.
        children = psutil.Process(process.pid).children(recursive=True)
        trainers = [child for child in children if "ImplicitFunc" in " ".join(child.cmdline())]
        assert trainers, children
        for worker in trainers:
            worker.kill()
    else:
        process.send_signal(signal.SIGKILL)
    output, _ = process.communicate(timeout=180)
    if victim == "driver":
        assert gone(ray_processes() - before), "Ray outlived its driver"
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        output = done.stdout
    else:
        assert process.returncode == 0, output
    assert "continuing after epoch" in output
    assert digests(folder) == digests(plain)
    assert gone(ray_processes() - before)


def test_an_unreachable_head_is_one_clear_line(tiny: Path, tmp_path: Path) -> None:
    spec = write_spec(tmp_path / "spec.json")
    nowhere = environment() | {"RAY_ADDRESS": "127.0.0.1:9"}
    done = subprocess.run(train_command(tiny, spec, tmp_path), env=nowhere, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("mmran train: RAY_ADDRESS=127.0.0.1:9: no Ray head answers")


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_shared_head_ends_with_the_run(tmp_path: Path, signal_number: signal.Signals) -> None:
    before = ray_processes()
    ready = tmp_path / "ready"
    command = [sys.executable, "-m", "mmran", "run", "--cpus", "1", "--gpus", "0", "--"]
    process = subprocess.Popen([*command, "sh", "-c", f"touch '{ready}'; exec sleep 600"], env=environment(), text=True)
    wait_for(ready, process)
    assert ray_processes() - before
    process.send_signal(signal_number)
    process.wait(30)
    assert gone(ray_processes() - before)


def test_a_run_in_the_background_passes_ctrl_c_on_too(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    run = f"{sys.executable} -m mmran run --cpus 1 --gpus 0 -- sh -c \"touch '{ready}'; exec sleep 600\""
    # What a shell does to the commands behind an ampersand.
    process = subprocess.Popen(["sh", "-c", f"trap '' INT; exec {run}"], env=environment(), text=True)
    wait_for(ready, process)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 128 + signal.SIGINT


def test_the_shared_head_passes_the_commands_exit_code_on() -> None:
    command = [sys.executable, "-m", "mmran", "run", "--cpus", "1", "--gpus", "0", "--", "sh", "-c", "exit 7"]
    assert subprocess.run(command, env=environment(), check=False).returncode == 7
