"""What every kind of image file offers: its slices one by one, and its masks in its own format."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmran.data.matlab import SliceError
from mmran.errors import UserError

Spacing = tuple[float, float]
"""Millimeters between rows and between columns."""


class ImageSlice(NamedTuple):
    """One slice of a file.

    Attributes:
        pixels: (height, width) intensities in the file's own type, or (channels, height, width).
        spacing_mm: of its pixels, or None if the file does not say.
    """

    pixels: NDArray[Any]
    spacing_mm: Spacing | None


@dataclass(frozen=True)
class ReadOptions:
    """How files are read.

    Attributes:
        axis: stored axis of a volume along which slices are taken: 0, 1 or 2.
        spacing_mm: for files that do not state it, or None.
        field_of_view_mm: width of the imaged square in cjdata files, which do not state it either; or None.
        channels: names of the channels that an image must have, in order; empty for gray images.
    """

    axis: int = 2
    spacing_mm: float | None = None
    field_of_view_mm: float | None = None
    channels: tuple[str, ...] = ()

    @property
    def default_spacing(self) -> Spacing | None:
        """Spacing of a file that does not state it."""
        return None if self.spacing_mm is None else (self.spacing_mm, self.spacing_mm)

    def of_one_channel(self) -> "ReadOptions":
        """How a file of one channel, or a mask, is read."""
        return replace(self, channels=())


class ImageFile(ABC):
    """An image, a volume or a series; safe to read from several threads once it is open.

    Attributes:
        path: the file, or the folder of a series.
        options: how it is read.
        notes: what the reader assumes, one line each; complete after `open`.
    """

    def __init__(self, path: Path, options: ReadOptions) -> None:
        self.path = path
        self.options = options
        self.notes: list[str] = []

    @property
    def stem(self) -> str:
        """Name of its outputs, without ending."""
        return self.path.stem

    @abstractmethod
    def open(self) -> int:
        """Read what is needed to know the number of slices, and return it.

        Raises:
            SliceError: the file is damaged, or is not an image that a network can take.
        """

    @abstractmethod
    def read(self, i: int) -> ImageSlice:
        """Read slice `i`, from zero.

        Raises:
            SliceError: it is damaged.
        """

    @abstractmethod
    def mask_paths(self, base: Path) -> tuple[Path, ...]:
        """The files that `write_masks` writes.

        Args:
            base: folder and name of all outputs of this file, without ending.
        """

    @abstractmethod
    def write_masks(self, masks: Sequence[NDArray[np.bool_]], base: Path) -> None:
        """Write the masks in the file's own format, size and geometry, each output whole or not at all.

        Args:
            masks: one (height, width) per slice, in order.
            base: see `mask_paths`.

        Raises:
            UserError: a file cannot be written.
        """

    def close(self) -> None:  # noqa: B027 - most files hold nothing
        """Release the memory of the opened file."""


def wrong_channels(path: Path, found: str, channels: Sequence[str], remedy: str) -> SliceError:
    """The error for a file that does not have the channels of `data.channels`, or of a model."""
    expected = f"{len(channels)} channels (data.channels: {', '.join(channels)})"
    return SliceError(str(path), f"{found}, expected {expected}; {remedy}")


def suffixed(base: Path, ending: str) -> Path:
    """The path of an output; `base` may contain dots."""
    return base.with_name(base.name + ending)


def require(module: str, what: str, *, extra: str = "images") -> ModuleType:
    """Import an optional library.

    Args:
        module: its name.
        what: what needs it.
        extra: extra of mmran that installs it.

    Raises:
        UserError: it is not installed; names the extra that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"{what} needs {module.partition('.')[0]}, which is not installed; run pip install 'mmran[{extra}]'"
        ) from error
