"""A Ray head on this machine: a child process on loopback, behind a token, that ends with its parent."""

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmran.errors import UserError


def run_beside_head(command: Sequence[str], cpus: int, gpus: int) -> int:
    """Run a command whose trainings share a head on this machine; returns its exit code.

    Args:
        command: program and arguments.
        cpus, gpus: what the head hands out.

    Raises:
        UserError: there is no such program, or the head does not start.
    """
    with head(cpus, gpus) as environment:
        print(f"Ray head with {cpus} CPUs and {gpus} GPUs at {environment['RAY_ADDRESS']}", file=sys.stderr)
        try:
            child = subprocess.Popen(command, env={**os.environ, **environment}, preexec_fn=_die_with_parent)
        except FileNotFoundError as error:
            raise UserError(f"{command[0]}: no such command; is the environment with snakemake activated?") from error
        # The command decides how it ends; the head is stopped when it has.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda received, frame: os.killpg(child.pid, received))
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
    temporary, port = _short_folder(), _free_port()
    environment = {
        "RAY_ADDRESS": f"127.0.0.1:{port}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--node-ip-address=127.0.0.1"]
    command += [f"--port={port}", f"--num-cpus={cpus}", f"--num-gpus={gpus}", "--include-dashboard=false"]
    command += [f"--temp-dir={temporary}", "--disable-usage-stats"]
    log = Path(temporary) / "head.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=_die_with_parent,
        )
    try:
        _await_head(process, port, log)
        yield environment
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        shutil.rmtree(temporary, ignore_errors=True)


def _await_head(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
    raise UserError(f"the Ray head did not start within 60 s: {' | '.join(lines) or 'it said nothing'}")


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


def _short_folder() -> str:
    """A temporary folder with a name short enough for Ray's sockets, whose paths end at 107 bytes."""
    parent = tempfile.gettempdir()
    return tempfile.mkdtemp(prefix="ray-", dir=parent if len(parent) <= 30 else "/tmp")
