"""Checkpoints that are whole, verified, and never the only copy.

A checkpoint file is one line of text, `mmran-checkpoint <sha256 of the rest>`, followed by plain values in
the format of `torch.save`. A write goes to a temporary file that is flushed, read back, and compared before it is
renamed to `latest.ckpt`; the earlier one stays as `previous.ckpt`. Whenever the process is killed, one of the two is
whole.

Imports torch only where a file is written or read: a driver deletes checkpoints without it.
"""

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmran.errors import UserError
from mmran.files import atomic_path

_MAGIC = b"mmran-checkpoint "
_HEADER_BYTES = len(_MAGIC) + 64 + 1

# `fresh` is whole too: a kill between two renames leaves it as the newest.
_NAMES = ("fresh.ckpt", "latest.ckpt", "previous.ckpt")


def write(path: Path, values: dict[str, Any]) -> None:
    """Write values (tensors, numbers, texts, lists, mappings) to a checkpoint file, atomically.

    Raises:
        UserError: the disk is full or not writable, or does not return what was written.
    """
    import torch

    buffer = io.BytesIO()
    torch.save(values, buffer)
    payload = buffer.getbuffer()
    digest = hashlib.sha256(payload).hexdigest()
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:
            file.write(_MAGIC + digest.encode() + b"\n")
            file.write(payload)
        with temporary.open("rb") as file:
            file.seek(_HEADER_BYTES)
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise UserError(f"{path}: the disk does not return what was written to it; use another disk")


def read(path: Path) -> dict[str, Any]:
    """Read and verify a checkpoint file; runs no code from it.

    Raises:
        UserError: it is missing, foreign, truncated, changed since it was written, or holds more than plain values.
    """
    import torch

    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); delete it to train from an earlier one") from error
    if not data.startswith(_MAGIC) or len(data) < _HEADER_BYTES:
        raise UserError(f"{path}: not a checkpoint of mmran; delete it to train from an earlier one")
    if hashlib.sha256(memoryview(data)[_HEADER_BYTES:]).hexdigest().encode() != data[len(_MAGIC) : _HEADER_BYTES - 1]:
        raise UserError(f"{path}: damaged (its SHA-256 does not match); delete it to train from an earlier one")
    try:
        values = torch.load(io.BytesIO(data[_HEADER_BYTES:]), map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(f"{path}: holds more than plain values and was not loaded ({error})") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: holds a {type(values).__name__}, expected a mapping; delete it")
    return values


@dataclass(frozen=True)
class CheckpointFolder:
    """The two newest checkpoints of one trial.

    Attributes:
        path: folder of the trial.
        digest: identifies the trial; a checkpoint of another one is refused.
    """

    path: Path
    digest: str

    def save(self, values: dict[str, Any]) -> None:
        """Make `values` the latest checkpoint and keep the previous one."""
        latest, fresh = self.path / "latest.ckpt", self.path / "fresh.ckpt"
        write(fresh, {"digest": self.digest, **values})
        if latest.exists():
            latest.replace(self.path / "previous.ckpt")
        fresh.replace(latest)

    def load(self, log: Callable[[str], None]) -> Iterator[tuple[Path, dict[str, Any]]]:
        """The intact checkpoints of this trial, the newest first.

        Args:
            log: receives a warning for each file that is skipped.
        """
        for name in _NAMES:
            path = self.path / name
            if not path.exists():
                continue
            try:
                values = read(path)
            except UserError as error:
                log(f"warning: {error}")
                continue
            if values.get("digest") == self.digest:
                yield path, values
            else:
                log(f"warning: {path}: belongs to another experiment; ignored")

    def discard(self) -> None:
        """Delete the checkpoints."""
        for name in _NAMES:
            (self.path / name).unlink(missing_ok=True)
