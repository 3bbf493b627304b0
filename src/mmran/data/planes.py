"""Slices of the images and volumes that a table names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmran.data.cheng import LARGEST_SIDE, Slice, usable_image
from mmran.data.images import nifti, pictures
from mmran.data.images.base import ImageFile, ReadOptions
from mmran.data.images.nifti import Nifti, refuse_other_affine
from mmran.data.images.pictures import Picture
from mmran.data.images.stack import Stack
from mmran.data.matlab import SliceError
from mmran.data.tables import TableRow
from mmran.errors import UserError

SQUARE_TOLERANCE = 0.01
"""How far the two sides of a pixel may differ and still count as square."""


@dataclass(frozen=True)
class Plane:
    """One slice of an image and its mask, not read yet.

    Attributes:
        row: the line of the table.
        number: the slice number.
        image: the opened image.
        mask: the opened mask; None in a data set without masks.
        i: position of the slice in both files, from zero.
        n: number of slices of the image.
        tumor_values: values of the mask that are tumor; empty where every value but 0 is.
    """

    row: TableRow
    number: int
    image: ImageFile
    mask: ImageFile | None
    i: int
    n: int
    tumor_values: tuple[float, ...]

    @property
    def file(self) -> str:
        """Name of the slice for messages."""
        return _named(self.row.image, self.i, self.n)

    def read(self) -> tuple[Slice, float]:
        """The slice, without border polygon, and the side of its pixels in millimeters.

        Raises:
            SliceError: image or mask is damaged or not usable.
        """
        pixels, sides = self.image.read(self.i)
        height, width = pixels.shape[-2:]
        if max(height, width) > LARGEST_SIDE:
            raise SliceError(self.file, f"has {width} x {height} px, expected at most {LARGEST_SIDE}")
        tumor = self._tumor((height, width))
        item = Slice(
            self.number,
            self.row.label,
            self.row.patient,
            usable_image(pixels, self.file),
            np.ascontiguousarray(tumor, dtype=np.uint8),
            np.empty((0, 2)),
        )
        return item, self._spacing_mm(sides)

    def _tumor(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """(H, W), the pixels of the tumor; none in a data set without masks."""
        if self.mask is None or self.row.mask is None:
            return np.zeros(shape, dtype=bool)
        mask = self.mask.read(self.i).pixels
        mask_file = _named(self.row.mask, self.i, self.n)
        if mask.shape != shape:
            raise SliceError(
                mask_file,
                f"mask is {mask.shape[1]} x {mask.shape[0]}, but its image {self.file} {shape[1]} x {shape[0]}",
            )
        tumor = np.isin(mask, self.tumor_values or tumor_values([mask], mask_file))
        if not tumor.any():
            raise SliceError(mask_file, "mask is empty, expected at least one tumor pixel; remove the line")
        return tumor

    def _spacing_mm(self, sides: tuple[float, float] | None) -> float:
        if self.row.spacing_mm is not None:
            return self.row.spacing_mm
        if sides is None:
            raise SliceError(
                self.file, f"does not state the size of its pixels; add it in the column spacing_mm ({self.row.where})"
            )
        if max(sides) > (1 + SQUARE_TOLERANCE) * min(sides):
            raise SliceError(
                self.file,
                f"has pixels of {sides[0]:.3g} x {sides[1]:.3g} mm, expected square ones; resample image and mask",
            )
        return float(sides[0])


@dataclass(frozen=True)
class PlannedRow:
    """A line of the table whose image can be opened: number of its slices, and the first slice number."""

    row: TableRow
    n: int
    first: int


def plan_rows(rows: Sequence[TableRow], channels: tuple[str, ...] = ()) -> tuple[list[PlannedRow], list[SliceError]]:
    """Read the headers of all images to count their slices, and refuse shared slice numbers.

    Args:
        rows: lines of tables.
        channels: names of the channels of an image; empty for gray images.

    Returns:
        The lines that can be read, and a reason for each of the others.
    """
    planned, faults = [], []
    for row in rows:
        try:
            n = _image_of(row, channels).open()
        except SliceError as error:
            faults.append(error)
            continue
        planned.append(PlannedRow(row, n, row.number))
    planned.sort(key=lambda plan: plan.first)
    shared: dict[int, PlannedRow] = {}
    highest = planned[0] if planned else None
    for plan in planned[1:]:
        assert highest is not None
        if plan.first < highest.first + highest.n:
            shared[id(plan)], shared[id(highest)] = highest, plan
        if plan.first + plan.n > highest.first + highest.n:
            highest = plan
    for plan in planned:
        if other := shared.get(id(plan)):
            number = max(plan.first, other.first)
            reason = f"has slice number {number}, as does {other.row.where}; number them in the column slice"
            faults.append(SliceError(plan.row.where, reason))
    return [plan for plan in planned if id(plan) not in shared], faults


def planes(
    planned: Sequence[PlannedRow], values: tuple[float, ...], channels: tuple[str, ...], ignored: list[SliceError]
) -> Iterator[Plane | SliceError]:
    """The slices with tumor of all images, or why an image has none; one volume is open at a time.

    Args:
        planned: the images.
        values: values of masks that are tumor; empty where every value but 0 is.
        channels: names of the channels of an image; empty for gray images.
        ignored: receives a line per volume with slices without tumor.
    """
    for plan in planned:
        try:
            yield from _planes_of(plan, values, channels, ignored)
        except SliceError as error:
            yield error


def _planes_of(
    plan: PlannedRow, values: tuple[float, ...], channels: tuple[str, ...], ignored: list[SliceError]
) -> Iterator[Plane]:
    row = plan.row
    image = _image_of(row, channels)
    n = image.open()
    if row.mask is None:
        yield from (Plane(row, plan.first + i, image, None, i, n, ()) for i in range(n))
        return
    mask = _file(row.mask, row.where)
    n_mask = mask.open()
    if n != n_mask:
        raise SliceError(str(row.mask), f"mask has {n_mask} slices, but its image {row.image} {n}")
    reference = image.first if isinstance(image, Stack) else image
    if isinstance(reference, Nifti) != isinstance(mask, Nifti):
        raise SliceError(
            str(row.mask), f"mask is of another format than its image {row.image}, expected both NIfTI or both pictures"
        )
    if isinstance(reference, Nifti) and isinstance(mask, Nifti):
        refuse_other_affine(mask, reference, "mask has another affine than its image", "resample the mask to the image")
    with_tumor: Sequence[int] = range(n)
    if n > 1:
        masks = [mask.read(i).pixels for i in range(n)]
        values = values or tumor_values(masks, str(row.mask))
        with_tumor = [i for i, plane in enumerate(masks) if np.isin(plane, values).any()]
        if not with_tumor:
            raise SliceError(str(row.mask), "mask is empty, expected at least one tumor pixel; remove the line")
        if len(with_tumor) < n:
            reason = f"{n - len(with_tumor)} of {n} slices have no tumor and are left out"
            ignored.append(SliceError(str(row.image), reason))
    for i in with_tumor:
        yield Plane(row, plan.first + i, image, mask, i, n, values)


def tumor_values(masks: Sequence[NDArray[np.generic]], file: str) -> tuple[float, ...]:
    """The only value but 0 of the masks of a file; (1,) if they are empty.

    Raises:
        SliceError: they hold several.
    """
    found: set[float] = set()
    for mask in masks:
        if mask.dtype.kind not in "buif":
            raise SliceError(file, f"mask holds {mask.dtype}, expected numbers")
        found |= set(np.unique(mask[mask != 0]).tolist())
    if len(found) > 1 or not all(np.isfinite(value) for value in found):
        shown = ", ".join(f"{value:g}" for value in sorted(found)[:6]) + (", ..." if len(found) > 6 else "")
        raise SliceError(
            file,
            f"mask holds {shown} besides 0, expected one value; name those of the tumor (data.tumor_values, or convert "
            "--tumor-values)",
        )
    return tuple(found) or (1.0,)


def _image_of(row: TableRow, channels: tuple[str, ...]) -> ImageFile:
    """The file of a line's image, or its files, one for each channel."""
    if len(row.images) == 1:
        return _file(row.image, row.where, channels)
    return Stack([_file(path, row.where) for path in row.images], ReadOptions(channels=channels), row.image)


def _file(path: Path, where: str, channels: tuple[str, ...] = ()) -> ImageFile:
    name = path.name.lower()
    if name.endswith(nifti.SUFFIXES):
        return Nifti(path, ReadOptions(channels=channels))
    if name.endswith(pictures.SUFFIXES):
        return Picture(path, ReadOptions(channels=channels))
    raise SliceError(
        where, f"{path} is of an unknown kind, expected {', '.join((*pictures.SUFFIXES, *nifti.SUFFIXES))}"
    )


def _named(path: Path, i: int, n: int) -> str:
    return f"{path} slice {i}" if n > 1 else str(path)


def refuse_values(values: Sequence[float]) -> None:
    """Refuse values of a tumor that no mask can hold, and 0, the background.

    Raises:
        UserError: one is 0 or not a number.
    """
    for value in values:
        if value == 0 or not np.isfinite(value):
            raise UserError(f"tumor values: {value:g}, expected numbers other than 0, the value of the background")
