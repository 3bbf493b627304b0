"""Writes the file that `store.SliceStore` reads.

HDF5 lays out an empty file; ordinary writes then fill in the pixels. A full disk is then an ordinary error,
while HDF5 failing midway would leave handles that cannot be closed.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from mmran.data.channels import channels_attribute
from mmran.data.classes import classes_attribute
from mmran.data.store import DEFAULT_LAYOUT, FORMAT, LeftOut, left_out_bytes, smallest_type, store_digest
from mmran.errors import UserError

_PAGE_BYTES = 4096


@dataclass(slots=True)
class WaitingSlice:
    """What is kept of a slice in memory while its pixels and border wait in a file.

    Attributes:
        file: the file that it came from.
        facts: its row of the index, without `row`.
        image_type: type of its image.
        low: its lowest intensity.
        high: its highest intensity.
        n_border_points: number of points of its border.
        digest: see `store.slice_digest`.
        n_channels: channels of its image.
        position: where in the file its image starts, followed by its mask, eight pixels a byte, and its border,
            (n, 2) float64.
    """

    file: str
    facts: dict[str, Any]
    image_type: np.dtype[Any]
    low: float
    high: float
    n_border_points: int
    digest: bytes
    n_channels: int = 1
    position: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.facts["height"], self.facts["width"]

    @property
    def image_bytes(self) -> int:
        """Bytes of its image in the temporary file."""
        return self.n_channels * self.shape[0] * self.shape[1] * self.image_type.itemsize


def write_store(
    path: Path,
    slices: Sequence[WaitingSlice],
    spill: BinaryIO,
    *,
    layout: str,
    classes: Sequence[str],
    channels: Sequence[str],
    has_masks: bool,
    folds: NDArray[np.int32],
    rejects: Sequence[LeftOut],
    ignored: Sequence[LeftOut],
    index_sha256: str,
) -> None:
    """Write a store.

    Args:
        path: the new file.
        slices: in index order.
        spill: the file that holds their pixels and borders.
        layout: what the slices came from: "cjdata" for `.mat` files, "table" for images that a table names.
        classes: names of the classes in the order of the labels; empty where there are none.
        channels: names of the channels in the order of the images; empty for gray images.
        has_masks: whether the masks mean something; they are empty otherwise.
        folds: (n,) published folds, 0 where unknown.
        rejects: files that should have been slices.
        ignored: files of other kinds.
        index_sha256: digest of the index beside the store.

    Raises:
        UserError: the disk has too little room.
        OSError: the disk filled up meanwhile.
    """
    groups: dict[str, list[WaitingSlice]] = {}
    for item in slices:
        groups.setdefault(item.facts["group"], []).append(item)
    image_type = _common_type(slices)
    _check_free_space(path, slices, image_type)
    with h5py.File(path, "w", alignment_threshold=_PAGE_BYTES, alignment_interval=_PAGE_BYTES) as file:
        digests = np.frombuffer(b"".join(item.digest for item in slices), dtype=np.uint8).reshape(-1, 32)
        file.attrs["format"] = FORMAT
        if layout != DEFAULT_LAYOUT:  # absent in stores of `.mat` files, which keep their bytes
            file.attrs["layout"] = layout
        file.attrs.update(classes_attribute(classes) | channels_attribute(channels))
        if not has_masks:  # absent in stores with masks, which keep their bytes
            file.attrs["masks"] = False
        file.attrs["digest"] = store_digest(digests, folds, classes, channels)
        file["rejects"] = left_out_bytes(rejects)
        file["ignored"] = left_out_bytes(ignored)
        file.attrs["index_sha256"] = index_sha256
        file["slice_sha256"] = digests
        file["cvind"] = folds
        border_start = np.cumsum([0, *(item.n_border_points for item in slices)])
        file["border/start"] = border_start
        borders = _reserve(file, "border/points", (int(border_start[-1]), 2), np.dtype("<f8"))
        n_channels = (len(channels),) if channels else ()
        places = {
            name: (
                _reserve(file, f"{name}/image", (len(members), *n_channels, *members[0].shape), image_type),
                _reserve(file, f"{name}/mask", (len(members), *members[0].shape), np.dtype("u1")),
            )
            for name, members in groups.items()
        }
    with path.open("r+b") as file:
        for name, members in groups.items():
            _copy_pixels(members, spill, file, places[name], image_type)
        _copy_borders(slices, spill, file, borders)


def _common_type(slices: Sequence[WaitingSlice]) -> np.dtype[Any]:
    """The smallest type that holds every slice without loss."""
    if all(item.image_type.kind != "f" for item in slices):
        return smallest_type(min(item.low for item in slices), max(item.high for item in slices))
    # float32 holds every integer up to two bytes.
    small = all(item.image_type.itemsize <= (4 if item.image_type.kind == "f" else 2) for item in slices)
    return np.dtype("<f4" if small else "<f8")


def _check_free_space(path: Path, slices: Sequence[WaitingSlice], image_type: np.dtype[Any]) -> None:
    needed = sum(item.shape[0] * item.shape[1] * (item.n_channels * image_type.itemsize + 1) for item in slices)
    free = shutil.disk_usage(path.parent).free
    if free < needed + 64 * _PAGE_BYTES:
        raise UserError(
            f"{path.parent}: {free / 1e6:.1f} MB are free, the store takes {needed / 1e6:.1f} MB; make room"
        )


def _reserve(file: h5py.File, name: str, shape: tuple[int, ...], kind: np.dtype[Any]) -> int:
    """Create a contiguous dataset without filling it; returns the byte of the file at which it starts."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    # An empty dataset has no place.
    return int(file.create_dataset(name, shape, kind, dcpl=properties).id.get_offset() or 0)


def _copy_pixels(
    members: Sequence[WaitingSlice],
    spill: BinaryIO,
    file: BinaryIO,
    places: tuple[int, int],
    image_type: np.dtype[Any],
) -> None:
    n_pixels = members[0].shape[0] * members[0].shape[1]
    for row, item in enumerate(members):
        spill.seek(item.position)
        waiting = spill.read(item.image_bytes + (n_pixels + 7) // 8)
        image = np.frombuffer(waiting[: item.image_bytes], dtype=item.image_type).astype(image_type, copy=False)
        packed = np.frombuffer(waiting[item.image_bytes :], dtype=np.uint8)
        file.seek(places[0] + row * image.nbytes)
        file.write(image.data)
        file.seek(places[1] + row * n_pixels)
        file.write(np.unpackbits(packed, count=n_pixels).data)


def _copy_borders(slices: Sequence[WaitingSlice], spill: BinaryIO, file: BinaryIO, place: int) -> None:
    file.seek(place)
    for item in slices:
        n_pixels = item.shape[0] * item.shape[1]
        spill.seek(item.position + item.image_bytes + (n_pixels + 7) // 8)
        file.write(spill.read(16 * item.n_border_points))
