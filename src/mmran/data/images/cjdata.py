"""The data set's own `.mat` files, with or without mask and class."""

import io
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from mmran.data.cheng import parse_image
from mmran.data.images.base import ImageFile, ImageSlice, suffixed, wrong_channels
from mmran.data.matlab import file_bytes, new_matlab_file, put
from mmran.files import atomic_path

SUFFIXES = (".mat",)


class Cjdata(ImageFile):
    """A MATLAB v7.3 file with a struct `cjdata` that has an `image`."""

    def open(self) -> int:
        """One slice."""
        if channels := self.options.channels:
            raise wrong_channels(self.path, "has one channel", channels, "give images that have them")
        return 1

    def read(self, i: int) -> ImageSlice:
        """Read the image; its spacing follows from the field of view of the training slices."""
        pixels = parse_image(file_bytes(self.path), str(self.path))
        spacing = self.options.default_spacing
        if spacing is None and self.options.field_of_view_mm is not None:
            side = self.options.field_of_view_mm / max(pixels.shape)
            spacing = (side, side)
        return ImageSlice(pixels, spacing)

    def mask_paths(self, base: Path) -> tuple[Path, ...]:
        """One `.mat`."""
        return (suffixed(base, "_mask.mat"),)

    def write_masks(self, masks: Sequence[NDArray[np.bool_]], base: Path) -> None:
        """Write `cjdata.tumorMask`, in the layout of the data set."""
        (path,) = self.mask_paths(base)
        with atomic_path(path) as temporary, new_matlab_file(temporary) as root:
            struct = root.create_group("cjdata")
            struct.attrs["MATLAB_class"] = np.bytes_("struct")
            put(struct, "tumorMask", masks[0].T.astype(np.uint8), "logical", decode=1)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """(height, width) bool: `cjdata.tumorMask` of a file, which may have no image."""
    with h5py.File(io.BytesIO(file_bytes(path)), "r") as file:
        return np.asarray(file["cjdata/tumorMask"][()]).T != 0
