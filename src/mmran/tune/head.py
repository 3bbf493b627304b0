"""A Ray head on this machine: a child process on loopback, behind a token, that ends with its parent."""

import contextlib
import ctypes
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from mmran.errors import UserError
from mmran.tune.places import check_process_limit, object_store_arguments, scratch_folder, short_parent

HEAD_PYTHON = "MMRAN_HEAD_PYTHON"
"""Environment variable: identity of the head's Python environment, which differs from that of a job under conda."""

# Usually a few seconds, but many if Ray is read from a network drive for the first time.
START_SECONDS = 120
# Ray itself gives up on a head after 60.
GONE_SECONDS = 20


@contextlib.contextmanager
def head(cpus: int, gpus: int) -> Iterator[dict[str, str]]:
    """Run a Ray head on this machine, on loopback and behind a token; yields the environment that reaches it.

    Jobs that share a head lease its GPUs, whole or in fractions; with separate heads, every job would grab GPU 0.
    The head ends with this process, even if this process is killed.

    Args:
        cpus: CPUs that the head leases to trials.
        gpus: GPUs that it leases.

    Raises:
        UserError: the machine lacks what Ray needs, or the head does not start.
    """
    _check_python()
    check_process_limit(cpus)
    with scratch_folder(short_parent(), "ray-") as scratch:
        # Ray makes its folder writable for everyone; the folder around it is ours alone.
        temporary = scratch / "r"
        environment = _environment(_free_port())
        command = _command(environment["RAY_ADDRESS"], cpus, gpus, temporary)
        command += object_store_arguments(scratch)
        log = scratch / "head.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdout=file,
                stderr=subprocess.STDOUT,
                preexec_fn=end_with_parent,
            )
        try:
            _await_start(process, temporary / "ray_current_cluster", log)
            yield environment
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()


def _environment(port: int) -> dict[str, str]:
    return {
        "RAY_ADDRESS": f"127.0.0.1:{port}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        HEAD_PYTHON: python_identity(),
        # Ray replaces 127.0.0.1 by this machine's address in its network and listens on all interfaces, unless
        # clusters are disabled. The variable is named after the systems where that is the default.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # Otherwise the first job would make Ray start one idle worker for every CPU of the machine.
        "RAY_prestart_worker_first_driver": "0",
        # Ray gives its workers a niceness of 15: trainings of several seeds would wait for every training of one seed,
        # which runs in its job's own process.
        "RAY_worker_niceness": "0",
        # A trial that leases no GPU must see none; by default it sees all.
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    }


def _command(address: str, cpus: int, gpus: int, temporary: Path) -> list[str]:
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--node-ip-address=127.0.0.1"]
    command += [f"--port={address.rpartition(':')[2]}", f"--num-cpus={cpus}", f"--num-gpus={gpus}"]
    return [*command, f"--temp-dir={temporary}", "--include-dashboard=false", "--disable-usage-stats"]


def python_identity() -> str:
    """The identity of this process's Python environment: its prefix, and its program with links resolved.

    `python` and `python3` of one environment are the same; comparing the names would make Ray build a runtime
    environment for every job, which takes seconds.
    """
    return f"{sys.prefix}|{Path(sys.executable).resolve()}"


@contextlib.contextmanager
def exit_if_head_lost(address: str) -> Iterator[None]:
    """Within the context, exit with one line when the head is lost; Ray would take a minute and print its own text.

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
                line = f"mmran: the Ray head at {address} is gone; run the same command again to continue\n"
                os.write(2, line.encode())
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
    # Ray puts the name into a command without quotes, then waits minutes for the worker.
    if re.search(r"[^\w@%+=:,./-]", sys.executable):
        raise UserError(
            f"{sys.executable}: Ray cannot start workers with a Python in a folder with spaces or quotes in its name; "
            "create the environment elsewhere, or train with `mmran train --no-ray`"
        )


def _await_start(process: subprocess.Popen[bytes], address: Path, log: Path) -> None:
    # Ray writes the address when everything runs; its port answers long before that, even if the rest fails.
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        if address.exists():
            return
        time.sleep(0.05)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
    how = f"did not start within {START_SECONDS} s" if process.poll() is None else "failed to start"
    raise UserError(f"the Ray head {how}: {' | '.join(lines) or 'it printed nothing'}")


def end_with_parent() -> None:
    """In a child: lead a process group, and end when the parent ends, even if that is killed."""
    os.setsid()
    # A run started in the background ignores SIGINT, and children inherit that; the signals we pass on must arrive.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
