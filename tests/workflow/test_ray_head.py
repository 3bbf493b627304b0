"""Ray's head: who may connect, what a job reports that cannot use it, and how jobs end when it is lost or killed."""

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mmran.tune.head import HEAD_PYTHON
from tests.workflow.test_tuning import environment, gone, ray_processes, train_command, wait_for, write_spec

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def refusal(tiny: Path, folder: Path, variables: dict[str, str], *more: str) -> str:
    """The last line of a training that is refused."""
    command = train_command(tiny, write_spec(folder / "spec.json"), folder, *more)
    done = subprocess.run(
        command, env=environment() | variables, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    # Ray itself asks 20 times, once a second, and says so each time.
    assert done.stderr.count("Failed to get cluster ID") <= 1
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "RAY_AUTH_MODE=token is not set"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}, "RAY_AUTH_TOKEN must be the head's"),
    ],
    ids=["missing", "wrong"],
)
def test_without_the_heads_token_a_job_ends_in_a_clear_line(
    tiny: Path, tmp_path: Path, ray_head: dict[str, str], given: dict[str, str], says: str
) -> None:
    address = ray_head["RAY_ADDRESS"]
    line = refusal(tiny, tmp_path, {"RAY_ADDRESS": address} | given)
    assert line.startswith(f"mmran train: RAY_ADDRESS={address}: authentication failed")
    assert says in line


def test_a_trial_that_fits_on_no_machine_is_refused(tiny: Path, tmp_path: Path, ray_head: dict[str, str]) -> None:
    # As seen from a job on another machine, whose CPUs do not matter.
    elsewhere = {key: value for key, value in ray_head.items() if key != HEAD_PYTHON}
    line = refusal(tiny, tmp_path, elsewhere, "--threads", "9", "--gpus", "1", "--trials-per-gpu", "2")
    assert "a trial needs 9 CPUs and 0.5 GPUs of one machine, and its machines have 8 CPUs and 2 GPUs" in line


def test_an_unreachable_head_is_one_clear_line(tiny: Path, tmp_path: Path) -> None:
    line = refusal(tiny, tmp_path, {"RAY_ADDRESS": "127.0.0.1:9"})
    assert line.startswith("mmran train: RAY_ADDRESS=127.0.0.1:9: no Ray head answers")


def test_more_gpus_than_are_visible_are_refused_in_rays_words() -> None:
    command = [sys.executable, "-m", "mmran", "run", "--cpus", "1", "--gpus", "2", "--", "true"]
    one = environment() | {"CUDA_VISIBLE_DEVICES": "0"}
    done = subprocess.run(command, env=one, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "mmran run: the Ray head failed to start" in done.stderr
    assert "CUDA_VISIBLE_DEVICES contains ['0']" in done.stderr


def listening(process: psutil.Process) -> dict[str, set[str]]:
    """Program -> addresses on which it, started by the process in whatever way, accepts connections."""
    found: dict[str, set[str]] = {}
    for child in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            for connection in child.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    found.setdefault(child.name(), set()).add(connection.laddr.ip)
    return found


def only_loopback(process: psutil.Process) -> bool:
    found = listening(process)
    # The books, the daemon, and a worker that trains: or this looks at the wrong moment.
    assert {"gcs_server", "raylet"} <= set(found), found
    assert any(name.startswith("ray::") and "Agent" not in name for name in found), found
    return set().union(*found.values()) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout
    seen = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return
    raise AssertionError("".join(seen))


def test_nobody_outside_can_connect_and_after_a_lost_head_the_same_command_continues(
    tiny: Path, tmp_path: Path
) -> None:
    spec = write_spec(tmp_path / "spec.json", seeds=[1, 2], training={"epochs": 2000, "checkpoint_minutes": 0})
    command = train_command(tiny, spec, tmp_path, "--verbose")
    shared = [sys.executable, "-m", "mmran", "run", "--cpus", "1", "--gpus", "0", "--", *command]
    options = {"env": environment(), "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(shared, **options) as run:
        read_until(run, "epoch 2/2000")
        mother = psutil.Process(run.pid)
        assert only_loopback(mother)
        (books,) = [child for child in mother.children(recursive=True) if child.name() == "gcs_server"]
        began = time.monotonic()
        books.parent().kill()
        output, _ = run.communicate(timeout=60)
        assert run.returncode == 1
        assert "mmran: the Ray head at 127.0.0.1:" in output.splitlines()[-1]
        assert time.monotonic() - began < 40
    with subprocess.Popen(command, **options) as alone:
        read_until(alone, "continuing after epoch")
        assert only_loopback(psutil.Process(alone.pid))
        alone.send_signal(signal.SIGTERM)
        assert alone.wait(30) == 128 + signal.SIGTERM


def test_the_shared_head_ends_with_a_killed_run(tmp_path: Path) -> None:
    before, ready = ray_processes(), tmp_path / "ready"
    command = [sys.executable, "-m", "mmran", "run", "--cpus", "1", "--gpus", "0", "--"]
    process = subprocess.Popen([*command, "sh", "-c", f"touch '{ready}'; exec sleep 600"], env=environment(), text=True)
    wait_for(ready, process)
    assert ray_processes() - before
    process.kill()
    process.wait(30)
    assert gone(ray_processes() - before)
