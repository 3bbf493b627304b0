"""SIGTERM, as a scheduler sends it at a time limit, a cancellation or a preemption: one line, tidy up, end."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
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
    stopped, said = threading.Event(), threading.Lock()
    line = f"mmran {verb}: stopped by SIGTERM; what is complete is kept, and the same command goes on from there\n"

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
        # A verb that passes the signal on to another program goes by how that one ends.
        if stopped.is_set() or signal.getsignal(signal.SIGTERM) == stop:
            say()
            time.sleep(GRACE_SECONDS)
            os._exit(EXIT_CODE)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        with _told_at_once(stop_in_any_case):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if stopped.is_set():
            # Whatever the interrupted code, Ray for one, has made of it.
            raise SystemExit(EXIT_CODE) from None


@contextlib.contextmanager
def _told_at_once(act: Callable[[], None]) -> Iterator[None]:
    """Call a function in another thread the moment SIGTERM arrives.

    A scheduler ends all processes of a job at one time. Ray's library, when it finds Ray's daemon gone, ends this one
    or waits, and Python comes to call no handler in the main thread. Another thread is told by the signal itself.
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
