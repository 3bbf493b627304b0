"""A command beside a Ray head that all its trainings share."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from mmran.errors import UserError
from mmran.tune.head import end_with_parent, head
from mmran.tune.places import cache_problem, scratch_folder, short_parent


def run_beside_head(command: Sequence[str], cpus: int, gpus: int) -> int:
    """Run a command whose trainings share a head on this machine; returns its exit code.

    SIGINT and SIGTERM are passed on to the command and everything it started; a lost terminal (SIGHUP) is passed on as
    SIGTERM, so trainings save their progress. The head stops when the command has ended.

    Args:
        command: program and arguments.
        cpus: CPUs that the head leases.
        gpus: GPUs that the head leases.

    Raises:
        UserError: the program does not exist, or the head does not start.
    """
    with contextlib.ExitStack() as stack:
        environment = stack.enter_context(head(cpus, gpus))
        if problem := cache_problem():
            folder = stack.enter_context(scratch_folder(short_parent(), "mmran-cache-"))
            environment["XDG_CACHE_HOME"] = str(folder)
            print(f"mmran run: {problem}; caches are kept in {folder} for this run", file=sys.stderr)
        print(f"Ray head with {cpus} CPUs and {gpus} GPUs at {environment['RAY_ADDRESS']}", file=sys.stderr)
        return run_passing_signals(command, environment)


def run_passing_signals(command: Sequence[str], environment: dict[str, str]) -> int:
    """Run a command in its own process group and pass signals on; returns its exit code.

    Args:
        command: program and arguments.
        environment: variables to add to this process's.

    Raises:
        UserError: the program does not exist.
    """
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    # The command decides how it ends.
    def pass_on(number: int, frame: FrameType | None = None) -> None:
        if child is None:
            early.append(number)
        elif child.poll() is None:
            os.killpg(child.pid, signal.SIGTERM if number == signal.SIGHUP else number)

    # Before the child exists: a signal that arrives while it starts is passed on once it runs.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, pass_on)
    try:
        child = subprocess.Popen(command, env={**os.environ, **environment}, preexec_fn=end_with_parent)
    except FileNotFoundError as error:
        raise UserError(f"{command[0]}: no such command; is the environment with snakemake activated?") from error
    except PermissionError as error:
        raise UserError(f"{command[0]}: cannot be run ({error.strerror})") from error
    for arrived in early:
        pass_on(arrived)
    code = child.wait()
    if code < 0:
        # Killed before it could stop the processes that it had started.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGTERM)
    return code if code >= 0 else 128 - code
