"""SIGTERM, as a scheduler sends it at a time limit, cancellation, or preemption: one line, clean up, exit."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

EXIT_CODE = 128 + signal.SIGTERM
"""What a shell reports for a process that SIGTERM ended."""

# Schedulers kill after a grace period, Slurm after 30 s by default; Ray may take long to stop.
GRACE_SECONDS = 10


@contextlib.contextmanager
def ends_on_sigterm(verb: str) -> Iterator[None]:
    """Within the context, SIGTERM prints one line and leaves the program through all clean-up.

    Args:
        verb: what is running.

    Raises:
        SystemExit: SIGTERM arrived, with `EXIT_CODE`.
    """
    stopped, said = threading.Event(), threading.Lock()
    line = f"mmran {verb}: stopped by SIGTERM; finished work is kept, and the same command continues from there\n"

    def say() -> None:
        with contextlib.suppress(OSError):
            if said.acquire(blocking=False):
                os.write(2, line.encode())

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stopped.set()
        say()
        raise SystemExit(EXIT_CODE)

    def stop_in_any_case() -> None:
        # A verb that passes the signal to another program ends when that program does.
        if stopped.is_set() or signal.getsignal(signal.SIGTERM) == stop:
            say()
            time.sleep(GRACE_SECONDS)
            os._exit(EXIT_CODE)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        with _called_at_once(stop_in_any_case):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if stopped.is_set():
            # Even if the interrupted code, such as Ray, has turned the exit into something else.
            raise SystemExit(EXIT_CODE) from None


@contextlib.contextmanager
def _called_at_once(act: Callable[[], None]) -> Iterator[None]:
    """Call a function in another thread the moment SIGTERM arrives.

    A scheduler ends all processes of a job at once. When Ray's library finds Ray's daemon gone, it ends this process or
    waits, and Python never gets to call a handler in the main thread. The signal itself wakes the other thread.
    """
    heard, told = os.pipe()
    os.set_blocking(told, False)

    def listen() -> None:
        while number := os.read(heard, 1):
            if number[0] == signal.SIGTERM:
                act()
        os.close(heard)

    threading.Thread(target=listen, daemon=True).start()
    before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(told)
