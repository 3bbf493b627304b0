"""Checkpoints written in the background, at most every few minutes, and always when a training stops."""

import atexit
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import torch

from mmran.errors import UserError
from mmran.training.checkpoint import CheckpointFolder


class Saver:
    """Keeps the newest snapshot in memory and writes it in a thread when it is due.

    A context manager: leaving it writes the newest snapshot, even after an exception, Ctrl-C, or SIGTERM. So does the
    end of the process, which is all that a training in a thread, as in a Ray worker, notices of SIGTERM. Only SIGKILL
    loses what was trained since the last write.
    """

    def __init__(self, folder: CheckpointFolder, minutes: float, log: Callable[[str], None]) -> None:
        """Prepare to write.

        Args:
            folder: where checkpoints are written.
            minutes: between two writes; 0 writes after every epoch.
            log: receives a warning if the last write fails while another error ends the training.
        """
        self._folder, self._seconds, self._log = folder, 60 * minutes, log
        self._newest: dict[str, Any] | None = None
        self._writing: Future[None] | None = None
        self._wrote_at = time.monotonic()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")

    def __enter__(self) -> Self:
        atexit.register(self._write_at_exit)
        return self

    def offer(self, snapshot: dict[str, Any]) -> None:
        """Accept a snapshot that no longer changes, and start writing it if it is due.

        Raises:
            UserError: the previous write failed.
        """
        self._newest = snapshot
        if time.monotonic() - self._wrote_at < self._seconds:
            return
        if self._writing and not self._writing.done() and self._seconds > 0:
            return  # The disk is slower than the interval: the next epoch is early enough.
        self._write(snapshot)

    def flush(self) -> None:
        """Write the newest snapshot unless it is already written, and wait until it is on the disk.

        Raises:
            UserError: a write failed.
        """
        if self._newest is not None:
            self._write(self._newest)
        if self._writing:
            self._writing.result()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.flush()
        except UserError as failure:
            if error is None:
                raise
            self._log(f"warning: {failure}")
        finally:
            atexit.unregister(self._write_at_exit)
            self._thread.shutdown()

    def _write_at_exit(self) -> None:
        # Threads have ended by now, including the one that writes.
        if self._newest is not None:
            self._folder.save(self._newest)

    def _write(self, snapshot: dict[str, Any]) -> None:
        if self._writing:
            self._writing.result()
        self._writing = self._thread.submit(self._folder.save, snapshot)
        self._newest, self._wrote_at = None, time.monotonic()


def host_copy(value: Any) -> Any:
    """Copy nested values with their tensors to the host's memory; the copy does not follow the originals."""
    if isinstance(value, torch.Tensor):
        # Pinned memory, which torch reuses, takes a GPU's tensors several times as fast.
        pinned = value.device.type == "cuda"
        return torch.empty_like(value, device="cpu", pin_memory=pinned, requires_grad=False).copy_(value.detach())
    if isinstance(value, dict):
        return {key: host_copy(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(host_copy(entry) for entry in value)
    return value
