"""NIfTI: 2-D images, and volumes slice by slice along any stored axis; channels lie along a fourth one.

A slice is oriented as radiologists view it and as the training slices are: rows run from anterior to posterior (or
from superior to inferior), columns from the patient's right to the left. An affine that is diagonal, positive and
without origin says nothing about a patient: array libraries write it for plain rows and columns. Such an array is
read as stored.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmran.data.images.base import ImageFile, ImageSlice, ReadOptions, require, suffixed, wrong_channels
from mmran.data.matlab import SliceError
from mmran.errors import UserError
from mmran.files import atomic_path

SUFFIXES = (".nii", ".nii.gz")
AFFINE_TOLERANCE_MM = 0.01
"""How far the affines of files of one image may differ."""
_PER_MM = {"mm": 1.0, "meter": 1000.0, "micron": 0.001, "unknown": 1.0}


class Nifti(ImageFile):
    """A NIfTI file."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        super().__init__(path, options)
        self._lock = threading.Lock()
        self._raw: NDArray[Any] | None = None

    @property
    def stem(self) -> str:
        """The name without `.nii` or `.nii.gz`."""
        return self.path.name.removesuffix(".gz").removesuffix(".nii")

    def open(self) -> int:
        """Read the header."""
        nibabel = require("nibabel", f"{self.path}: NIfTI")
        try:
            self._image = nibabel.load(self.path)
        except Exception as error:  # nibabel raises whatever its many parsers raise
            raise self._damaged(error) from error
        shape = self._shape_of_volume()
        if len(shape) not in (2, 3) or 0 in shape:
            found = " x ".join(map(str, shape))
            raise SliceError(
                str(self.path),
                f"is {len(shape)}-D ({found}), expected 2-D or 3-D; save one volume (nibabel.four_to_three), "
                "or name channels in data.channels",
            )
        if self._image.get_data_dtype().kind not in "iuf":
            raise SliceError(str(self.path), f"holds {self._image.get_data_dtype()}, expected gray values")
        self._shape = (*shape, 1)[:3]
        self._axis = self.options.axis if len(shape) == 3 and shape[2] > 1 else 2
        self._plan()
        return int(self._shape[self._axis])

    def _shape_of_volume(self) -> tuple[int, ...]:
        """The axes of space; refuses a last axis of other channels than expected."""
        shape, channels = tuple(self._image.shape), self.options.channels
        if not channels:
            while len(shape) > 3 and shape[-1] == 1:
                shape = shape[:-1]
            return shape
        if len(shape) == 5 and shape[3] == 1:  # ITK stores vectors along the fifth axis, after one for time
            shape = (*shape[:3], shape[4])
        if len(shape) != 4 or shape[3] != len(channels):
            found = f"is {len(shape)}-D ({' x '.join(map(str, shape))})"
            stem, ending = self.stem, self.path.name[len(self.stem) :]
            remedy = (
                f"save them along a fourth axis, or give one file per channel (mmran segment: {stem}_{channels[0]}"
                f"{ending}, ...; slices.csv: image_{channels[0]}, ...)"
            )
            raise wrong_channels(self.path, found, channels, remedy)
        return shape[:3]

    def _plan(self) -> None:
        """Decide which stored axes are rows and columns, which run backwards, and how far apart their pixels are."""
        from nibabel import orientations

        header, affine = self._image.header, np.asarray(self._image.affine, dtype=np.float64)
        scale = _PER_MM.get(header.get_xyzt_units()[0], 1.0)
        zooms = (*map(float, header.get_zooms()[:3]), 1.0, 1.0)[:3]
        rows, columns = (axis for axis in range(3) if axis != self._axis)
        self._backwards: tuple[int, ...] = ()
        if _says_nothing(affine):
            self.notes.append("its affine has no orientation: rows and columns are taken as stored")
        else:
            places = orientations.io_orientation(affine)  # stored axis -> axis of the patient, direction
            if places[rows][0] < places[columns][0]:
                rows, columns = columns, rows
            # From left to right, posterior to anterior and inferior to superior count as backwards.
            self._backwards = tuple(axis for axis in (rows, columns) if places[axis][1] > 0)
        self._rows, self._columns = rows, columns
        spacing = (zooms[rows] * scale, zooms[columns] * scale)
        if np.array_equal(affine, np.eye(4)):
            self.notes.append("its affine is the identity: the spacing is unknown")
            self._spacing = self.options.default_spacing
        elif all(np.isfinite(side) and side > 0 for side in spacing):
            self._spacing = spacing
        else:
            self._spacing = self.options.default_spacing

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4) from stored indices to millimeters; complete after `open`."""
        return np.asarray(self._image.affine, dtype=np.float64)

    def read(self, i: int) -> ImageSlice:
        """Read one slice: mapped from an uncompressed file, from memory of a compressed one."""
        try:
            with self._lock:
                if self._raw is None:
                    # In the stored type: a volume in float64 would take eight times the memory of one in bytes.
                    raw = np.asanyarray(self._image.dataobj.get_unscaled())
                    self._raw = raw.reshape(*self._shape, -1)
            plane = np.take(self._raw, i, axis=self._axis)  # rows, columns, channels
        except Exception as error:  # as in `open`
            raise self._damaged(error) from error
        slope, inter = self._image.dataobj.slope, self._image.dataobj.inter
        if (slope, inter) != (1, 0):
            plane = plane * np.float64(slope) + np.float64(inter)
        pictures = [self._to_picture(plane[..., channel]) for channel in range(plane.shape[-1])]
        pixels = np.stack(pictures) if self.options.channels else np.ascontiguousarray(pictures[0])
        return ImageSlice(pixels, self._spacing)

    def _to_picture(self, plane: NDArray[Any]) -> NDArray[Any]:
        """A plane of stored axes, in their order, as rows and columns."""
        if self._rows > self._columns:
            plane = plane.T
        return np.flip(plane, self._flipped())

    def as_stored(self, picture: NDArray[Any]) -> NDArray[Any]:
        """The inverse of `_to_picture`."""
        plane = np.flip(picture, self._flipped())
        return plane.T if self._rows > self._columns else plane

    def _flipped(self) -> tuple[int, ...]:
        """Axes of a picture that run backwards in the file."""
        return tuple(axis for axis, stored in enumerate((self._rows, self._columns)) if stored in self._backwards)

    def mask_paths(self, base: Path) -> tuple[Path, ...]:
        """One file, compressed as the input is."""
        return (suffixed(base, "_mask.nii.gz" if self.path.name.endswith(".gz") else "_mask.nii"),)

    def write_masks(self, masks: Sequence[NDArray[np.bool_]], base: Path) -> None:
        """Write 1 in the tumor, 0 elsewhere, with the affine, codes and units of the input."""
        (path,) = self.mask_paths(base)
        volume = np.stack([self.as_stored(mask) for mask in masks], axis=self._axis).astype(np.uint8)
        header = self._image.header.copy()
        header.set_data_dtype(np.uint8)
        header.set_slope_inter(1, 0)
        header["cal_min"], header["cal_max"] = 0, 1
        shape = self._image.shape[:3] if self.options.channels else self._image.shape
        written = type(self._image)(volume.reshape(shape), self._image.affine, header)
        save_nifti(written, path)

    def close(self) -> None:
        """Release the volume."""
        self._raw = None

    def _damaged(self, error: Exception) -> UserError:
        if isinstance(error, UserError):
            return error
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        return SliceError(str(self.path), f"cannot be read as NIfTI ({reason}); save it again")


def refuse_other_affine(file: Nifti, reference: Nifti, what: str, remedy: str) -> None:
    """Refuse a file of an image that lies elsewhere than another file of it.

    Args:
        file: opened.
        reference: opened.
        what: the two in words: "mask has another affine than its image".
        remedy: what the user can do.

    Raises:
        SliceError: names the file and by how much its affine differs.
    """
    difference = float(np.abs(reference.affine - file.affine).max())
    if not difference <= AFFINE_TOLERANCE_MM:
        raise SliceError(
            str(file.path),
            f"{what} {reference.path} (by up to {difference:.3g} mm), expected the same; {remedy}",
        )


def _says_nothing(affine: NDArray[np.float64]) -> bool:
    """Whether an affine is diagonal, positive and without origin."""
    diagonal = np.diag(affine)
    return bool((affine == np.diag(diagonal)).all() and (diagonal > 0).all())


def save_nifti(image: Any, path: Path) -> None:
    """Write a NIfTI image, atomically."""
    ending = ".nii.gz" if path.name.endswith(".gz") else ".nii"
    with atomic_path(path) as temporary:
        named = temporary.with_name(temporary.name + ending)  # nibabel chooses the format by the name
        try:
            image.to_filename(named)
            named.replace(temporary)
        finally:
            named.unlink(missing_ok=True)
