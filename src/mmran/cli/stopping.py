"""SIGTERM, as a scheduler sends it at a time limit, a cancellation or a preemption: one line, tidy up, end."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

# What a shell says of a process that SIGTERM ended.
EXIT_CODE = 128 + signal.SIGTERM
# Schedulers kill after a grace period, Slurm after 30 s unless told otherwise; Ray may take long to stop.
GRACE_SECONDS = 10


@contextlib.contextmanager
def ends_on_sigterm(verb: str) -> Iterator[None]:
    """Within the context, SIGTERM says so on stderr and leaves the program, through everything that tidies up.

    Args:
        verb: what is running.

    Raises:
        SystemExit: SIGTERM arrived, with `EXIT_CODE`.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        line = f"mmran {verb}: stopped by SIGTERM; what is complete is kept, and the same command goes on from there\n"
        with contextlib.suppress(OSError):
            # Past Python's buffer, which the signal may have interrupted.
            os.write(2, line.encode())
        threading.Timer(GRACE_SECONDS, os._exit, (EXIT_CODE,)).start()
        raise SystemExit(EXIT_CODE)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
