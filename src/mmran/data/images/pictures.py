"""png, jpg, tiff and bmp: gray, color that is gray, or color as three channels; every page of a tiff is a slice."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmran.data.channels import COLORS
from mmran.data.images.base import ImageFile, ImageSlice, suffixed, wrong_channels
from mmran.data.matlab import SliceError
from mmran.errors import UserError
from mmran.files import atomic_path

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
GRAY_MODES = ("L", "I", "F", "1", "I;16", "I;16L", "I;16B", "I;16N")
GRAY_TOLERANCE = 4
"""Largest difference between the color channels of a gray picture, of 255: JPEG's rounding can cause this much."""
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, MemoryError)


class Picture(ImageFile):
    """A picture file."""

    def open(self) -> int:
        """Read the header."""
        with self._opened() as picture:
            if channels := self.options.channels:
                self._refuse_other_channels(picture, channels)
            return int(getattr(picture, "n_frames", 1))

    def _refuse_other_channels(self, picture: Any, channels: Sequence[str]) -> None:
        """Color is red, green, and blue; a picture holds no other number of channels."""
        is_gray = picture.mode in (*GRAY_MODES, "LA", "La")
        if is_gray or len(channels) != len(COLORS):
            found = "has one channel" if is_gray else "has the channels red, green and blue"
            name = f"{self.path.stem}_{channels[0]}{self.path.suffix}"
            remedy = f"give one file per channel (mmran segment: {name}, ...; slices.csv: image_{channels[0]}, ...)"
            raise wrong_channels(self.path, found, channels, remedy)

    def read(self, i: int) -> ImageSlice:
        """Decode one page."""
        with self._opened() as picture:
            if i:
                picture.seek(i)
            if self.options.channels:
                self._refuse_other_channels(picture, self.options.channels)
                colors = np.asarray(picture.convert("RGB"))
                return ImageSlice(np.ascontiguousarray(np.moveaxis(colors, 2, 0)), self.options.default_spacing)
            if picture.mode in ("LA", "La"):
                picture = picture.getchannel(0)
            if picture.mode not in GRAY_MODES:
                return ImageSlice(self._gray(picture), self.options.default_spacing)
            return ImageSlice(np.array(picture), self.options.default_spacing)

    def _gray(self, picture: Any) -> NDArray[np.uint8]:
        channels = np.asarray(picture.convert("RGB"))
        difference = int((channels.max(axis=2) - channels.min(axis=2)).max())
        if difference > GRAY_TOLERANCE:
            raise SliceError(
                str(self.path),
                f"is a color picture (channels differ by up to {difference} of 255), expected gray values; "
                "save the scan itself, without annotations (or name the colors in data.channels)",
            )
        return np.array(channels[:, :, 1])

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(self.path) as picture:
                yield picture
        except UnidentifiedImageError as error:
            raise SliceError(
                str(self.path), "is not a picture that pillow can read; expected png, jpg, tiff or bmp"
            ) from error
        except Image.DecompressionBombError as error:
            raise SliceError(str(self.path), f"is too large ({error}); expected one slice") from error
        except _DAMAGE as error:
            reason = getattr(error, "strerror", None) or error
            raise SliceError(str(self.path), f"cannot be read as a picture ({reason}); save it again") from error

    def mask_paths(self, base: Path) -> tuple[Path, ...]:
        """One picture; a png for a jpg, whose compression would blur the mask."""
        suffix = self.path.suffix.lower()
        return (suffixed(base, "_mask.png" if suffix in (".jpg", ".jpeg") else f"_mask{suffix}"),)

    def write_masks(self, masks: Sequence[NDArray[np.bool_]], base: Path) -> None:
        """Write 255 in the tumor, 0 elsewhere."""
        (path,) = self.mask_paths(base)
        write_picture(path, [mask.astype(np.uint8) * np.uint8(255) for mask in masks])


def write_picture(path: Path, pages: Sequence[NDArray[np.uint8]]) -> None:
    """Write gray (H, W) or color (H, W, 3) pages, atomically; only a tiff holds several.

    Raises:
        UserError: the file cannot be written.
    """
    from PIL import Image

    first, *others = (Image.fromarray(page) for page in pages)
    kind = {".png": "PNG", ".bmp": "BMP"}.get(path.suffix, "TIFF")
    options: dict[str, Any] = {"compress_level": 1} if kind == "PNG" else {}
    if others:
        options |= {"save_all": True, "append_images": others}
    if kind == "TIFF":
        options |= {"compression": "tiff_deflate"}
    with atomic_path(path) as temporary:
        try:
            first.save(temporary, kind, **options)
        except ValueError as error:
            raise UserError(f"{path}: cannot be written ({error})") from error
