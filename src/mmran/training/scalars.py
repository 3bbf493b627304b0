"""TensorBoard scalars of one trial: losses, validation metrics, and speed by epoch."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mmran.errors import UserError
from mmran.training.history import HistoryRow

_WRITER = "tensorboardX"  # comes with ray[tune]


def require_writer() -> None:
    """Refuse `training.tensorboard: true` if nothing can write scalars.

    Raises:
        UserError: tensorboardX is not installed.
    """
    if importlib.util.find_spec(_WRITER) is None:
        raise UserError(
            f"training.tensorboard: true, but {_WRITER} is not installed; run `pip install {_WRITER}`, or set "
            "training.tensorboard: false"
        )


class Scalars:
    """Writes the rows of a history for TensorBoard; a context manager that closes the file."""

    def __init__(self, folder: Path) -> None:
        """Prepare to write.

        Args:
            folder: of the event files; created with the first row.

        Raises:
            UserError: tensorboardX is not installed.
        """
        require_writer()
        self._folder = folder
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def write(self, row: HistoryRow) -> None:
        """Write one epoch. The first one replaces what an earlier process wrote from that epoch onward."""
        if self._writer is None:
            from tensorboardX import SummaryWriter

            # File names contain the time in seconds; the epoch distinguishes files of the same second.
            suffix = f".{row.epoch:06d}"
            self._writer = SummaryWriter(str(self._folder), purge_step=row.epoch, filename_suffix=suffix)
        for name, value in scalars(row).items():
            self._writer.add_scalar(name, value, row.epoch)
        # A viewer wants the epoch now, and a killed process does not close its file.
        self._writer.flush()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.close()


def scalars(row: HistoryRow) -> Mapping[str, float]:
    """Name -> value for an epoch, grouped as TensorBoard shows them."""
    found: dict[str, float | None] = {f"train/{name}": value for name, value in row.losses.items()}
    found |= {f"schedule/{name}": value for name, value in row.values.items()}
    found |= {"val/dice": row.val_dice, "val/acc": row.val_acc, "val/score": row.score}
    found |= {"speed/images_per_s": row.images_per_s}
    return {name: value for name, value in found.items() if value is not None}
