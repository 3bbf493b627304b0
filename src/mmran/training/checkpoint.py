"""Checkpoints that are whole, checked, and never the only copy.

A checkpoint file is one line of text, `mmran-checkpoint <sha256 of the rest>`, and what `torch.save` writes of plain
values. A write goes to a temporary file that is flushed, read back and compared before it takes the name
`latest.ckpt`; the one before stays as `previous.ckpt`. Killed at any instant, one of the two is whole.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mmran.errors import UserError
from mmran.files import atomic_path

_MAGIC = b"mmran-checkpoint "
_HEADER_BYTES = len(_MAGIC) + 64 + 1


def write(path: Path, values: dict[str, Any]) -> None:
    """Write values (tensors, numbers, texts, lists, mappings) to a checkpoint file, atomically.

    Raises:
        UserError: the disk is full, not writable, or does not give back what was written.
    """
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
                raise UserError(f"{path}: the disk does not give back what was written to it; use another one")


def read(path: Path) -> dict[str, Any]:
    """Read and verify a checkpoint file; runs no code from it.

    Raises:
        UserError: it is absent, foreign, truncated, changed since it was written, or holds more than plain values.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); remove its folder, and the training starts anew"
        ) from error
    if not data.startswith(_MAGIC) or len(data) < _HEADER_BYTES:
        raise UserError(f"{path}: not a checkpoint of mmran; remove it, and the training starts from the one before")
    if hashlib.sha256(memoryview(data)[_HEADER_BYTES:]).hexdigest().encode() != data[len(_MAGIC) : _HEADER_BYTES - 1]:
        raise UserError(
            f"{path}: damaged (its SHA-256 does not fit); remove it, and the training starts from the one before"
        )
    try:
        return torch.load(io.BytesIO(data[_HEADER_BYTES:]), map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(f"{path}: holds more than plain values and was not loaded ({error})") from error


@dataclass(frozen=True)
class CheckpointFolder:
    """The two newest checkpoints of one trial, and its best weights.

    Attributes:
        path: folder of the trial.
        digest: what the trial is; a checkpoint of another one is refused.
    """

    path: Path
    digest: str

    @property
    def best_path(self) -> Path:
        """Weights of the best epoch so far."""
        return self.path / "best.ckpt"

    def save(self, state: dict[str, Any]) -> None:
        """Make `state` the latest checkpoint and keep the one before."""
        latest, fresh = self.path / "latest.ckpt", self.path / "fresh.ckpt"
        write(fresh, {"digest": self.digest, **state})
        if latest.exists():
            latest.replace(self.path / "previous.ckpt")
        fresh.replace(latest)

    def load(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The newest checkpoint that is whole and of this trial.

        Returns:
            The state, or None where there is no usable checkpoint; and a line for each file that was passed over.
        """
        complaints = []
        # `fresh` is whole too: a kill between the two renames leaves it as the newest.
        for name in ("fresh.ckpt", "latest.ckpt", "previous.ckpt"):
            path = self.path / name
            if not path.exists():
                continue
            try:
                state = read(path)
            except UserError as error:
                complaints.append(str(error))
                continue
            if state.get("digest") == self.digest:
                return state, complaints
            complaints.append(f"{path}: belongs to another experiment and was passed over")
        return None, complaints

    def discard(self) -> None:
        """Let the checkpoints go: the trial has ended."""
        for name in ("fresh.ckpt", "latest.ckpt", "previous.ckpt", "best.ckpt"):
            (self.path / name).unlink(missing_ok=True)
