"""A Ray head on this machine: a child process on loopback, behind a token, that ends with its parent."""

import contextlib
import ctypes
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from mmran.errors import UserError

HEAD_PYTHON = "MMRAN_HEAD_PYTHON"
"""Environment variable: the Python of the head, which a job in a conda environment does not have."""

# Seconds as a rule; many where Ray is read from a network drive for the first time.
START_SECONDS = 120
# Ray itself gives a head up after 60.
GONE_SECONDS = 20


def run_beside_head(command: Sequence[str], cpus: int, gpus: int) -> int:
    """Run a command whose trainings share a head on this machine; returns its exit code.

    Args:
        command: program and arguments.
        cpus, gpus: what the head hands out.

    Raises:
        UserError: there is no such program, or the head does not start.
    """
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    # The command decides how it ends; the head is stopped when it has.
    def pass_on(number: int, frame: FrameType | None = None) -> None:
        if child is None:
            early.append(number)
        elif child.poll() is None:
            os.killpg(child.pid, number)

    with head(cpus, gpus) as environment:
        print(f"Ray head with {cpus} CPUs and {gpus} GPUs at {environment['RAY_ADDRESS']}", file=sys.stderr)
        # Before there is a child: a signal that arrives while it starts is passed on when it has.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, pass_on)
        try:
            child = subprocess.Popen(command, env={**os.environ, **environment}, preexec_fn=_die_with_parent)
        except FileNotFoundError as error:
            raise UserError(f"{command[0]}: no such command; is the environment with snakemake activated?") from error
        for arrived in early:
            pass_on(arrived)
        code = child.wait()
        return code if code >= 0 else 128 - code


@contextlib.contextmanager
def head(cpus: int, gpus: int) -> Iterator[dict[str, str]]:
    """Run a Ray head on this machine, on loopback and behind a token; yields the environment that reaches it.

    Jobs that share a head lease its GPUs one by one, or fractions of them; heads of their own would each take GPU 0.
    The head ends with this process, however that ends.

    Args:
        cpus, gpus: what the head hands out.

    Raises:
        UserError: the head does not start.
    """
    _check_python()
    temporary, port = _short_folder(), _free_port()
    environment = {
        "RAY_ADDRESS": f"127.0.0.1:{port}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        HEAD_PYTHON: sys.executable,
        # Ray takes 127.0.0.1 for this machine's address in its network, and then listens on all of them, unless a
        # cluster is ruled out. The name of the switch is that of the systems where this is the default.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # A trial that leases no GPU shall see none; by default it sees all.
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    }
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--node-ip-address=127.0.0.1"]
    command += [f"--port={port}", f"--num-cpus={cpus}", f"--num-gpus={gpus}", "--include-dashboard=false"]
    command += [f"--temp-dir={temporary}", "--disable-usage-stats"]
    with (temporary / "head.log").open("w") as file:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=_die_with_parent,
        )
    try:
        _await_head(process, temporary)
        yield environment
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def ends_without(address: str) -> Iterator[None]:
    """Within the context, this process ends when a head has gone, in one line; Ray would take a minute, and its words.

    Args:
        address: of the head, HOST:PORT.
    """
    finished = threading.Event()

    def watch() -> None:
        heard = time.monotonic()
        while not finished.wait(GONE_SECONDS / 4):
            if _answers(address):
                heard = time.monotonic()
            elif time.monotonic() - heard > GONE_SECONDS and not finished.is_set():
                said = f"mmran: the Ray head at {address} has gone; the same command goes on from what is complete\n"
                os.write(2, said.encode())
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        finished.set()


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=GONE_SECONDS / 4):
        return True
    return False


def _check_python() -> None:
    # Ray puts the name into a command without quotes, and then waits for the worker for minutes.
    if re.search(r"[^\w@%+=:,./-]", sys.executable):
        raise UserError(
            f"{sys.executable}: Ray cannot start workers with a Python in a folder with spaces or quotes in its name; "
            "make the environment elsewhere, or train with `mmran train --no-ray`"
        )


def _await_head(process: subprocess.Popen[bytes], temporary: Path) -> None:
    # Ray writes this when everything runs; its port answers long before, and even if the rest then fails.
    address, log = temporary / "ray_current_cluster", temporary / "head.log"
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        if address.exists():
            return
        time.sleep(0.05)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
    how = f"did not start within {START_SECONDS} s" if process.poll() is None else "ended while it started"
    raise UserError(f"the Ray head {how}: {' | '.join(lines) or 'it said nothing'}")


def _die_with_parent() -> None:
    """In a child: end when the parent does, even if it is killed; what Ctrl-C means is the parent's to pass on."""
    os.setsid()
    # A run started in the background ignores SIGINT, and so would its children: what we pass on has to arrive.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _short_folder() -> Path:
    """A temporary folder with a name short enough for Ray's sockets, whose paths end at 107 bytes."""
    parent = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="ray-", dir=parent if len(parent) <= 30 else "/tmp"))
