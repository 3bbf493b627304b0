"""The slice store: all slices of a data set in one file, written by `convert` and read by every later stage.

`slices.h5` has one group per native size, named `{H}x{W}`, with the contiguous datasets `image` (n, H, W), in
the smallest type that holds every slice of the store without loss, and `mask` (n, H, W) uint8. Images of several
channels are (n, C, H, W), in the order of the attribute `channels`. `index.csv` beside it has one row per slice.
Datasets are contiguous and uncompressed, so the operating system maps them into memory and reading a slice costs one
copy.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmran.data.channels import channels_attribute, read_channels
from mmran.data.classes import classes_attribute, read_classes
from mmran.data.pids import pid_family
from mmran.data.tasks import CLASSIFICATION, SEGMENTATION
from mmran.errors import UserError
from mmran.files import sha256_file

FORMAT = 2
DEFAULT_LAYOUT = "cjdata"
"""Layout of a source of `.mat` files."""
INDEX_NAME = "index.csv"
INDEX_TYPES = {
    "slice": "int64",
    "label": "int64",
    "pid": "str",
    "family": "str",
    "height": "int64",
    "width": "int64",
    "spacing_mm": "float64",
    "tumor_px": "int64",
    "group": "str",
    "row": "int64",
}

_DIGESTED = ("slice", "label", "pid", "height", "width", "spacing_mm")

# int16 before uint16: both take two bytes, but torch computes only with the first.
_INTEGER_TYPES = ("u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8")


def smallest_type(low: float, high: float) -> np.dtype[Any]:
    """The smallest integer type that holds `low` to `high`."""
    for name in _INTEGER_TYPES:
        if np.iinfo(name).min <= low and high <= np.iinfo(name).max:
            return np.dtype(name)
    raise OverflowError(f"no integer type holds {low} to {high}")


def narrow(image: NDArray[Any]) -> NDArray[Any]:
    """The same intensities in the smallest little-endian type that holds them without loss.

    Args:
        image: (H, W) or (C, H, W), of any integer or floating type, finite.
    """
    if image.dtype.kind == "f" and not np.array_equal(image, np.trunc(image).clip(-(2.0**53), 2.0**53)):
        single = image.astype("<f4")
        return single if np.array_equal(single, image) else image.astype("<f8")
    return image.astype(smallest_type(int(image.min()), int(image.max())), copy=False)


def slice_digest(
    row: Mapping[Any, Any], image: NDArray[Any], mask: NDArray[np.uint8], border: NDArray[np.float64]
) -> bytes:
    """SHA-256 of a slice's content, independent of the type and file that store it.

    Args:
        row: its `slice`, `label`, `pid`, `height`, `width`, `spacing_mm`, and `family`.
        image: (H, W) or (C, H, W), narrowed.
        mask: (H, W) of 0 and 1.
        border: (n, 2) float64.
    """
    facts = [row[name] for name in _DIGESTED]
    # The mask is hashed as bits; its maximum detects nonzero values other than 1.
    facts += [image.dtype.str, int(mask.max())]
    if row["family"] != pid_family(row["pid"]):  # otherwise the patient decides it
        facts.append(row["family"])
    digest = hashlib.sha256(json.dumps(facts).encode())
    for part in (image, np.packbits(mask), border.astype("<f8")):
        digest.update(np.ascontiguousarray(part).data)
    return digest.digest()


def store_digest(
    slice_digests: NDArray[np.uint8], folds: NDArray[np.int32], classes: Sequence[str], channels: Sequence[str] = ()
) -> str:
    """SHA-256 of the content of a store.

    Args:
        slice_digests: (n, 32) in the order of the slice numbers.
        folds: (n,) published folds, 0 where unknown.
        classes: what the labels mean.
        channels: of the images; empty for gray ones.
    """
    digest = hashlib.sha256(b"mmran slices 1\n")
    for name in channels_attribute(channels).values():
        digest.update(f"channels {name}\n".encode())
    for name in classes_attribute(classes).values():
        digest.update(f"{name}\n".encode())
    digest.update(np.ascontiguousarray(slice_digests).data)
    digest.update(folds.astype("<i4").data)
    return digest.hexdigest()


@dataclass(frozen=True)
class LeftOut:
    """A file of the source that is not in the store, and the reason, one line each."""

    file: str
    reason: str


def left_out_bytes(files: Sequence[LeftOut]) -> NDArray[np.uint8]:
    """(n,) uint8 JSON: an attribute of HDF5 would end at 64 kB."""
    text = json.dumps([[item.file, item.reason] for item in files])
    return np.frombuffer(text.encode(), dtype=np.uint8)


def _left_out(stored: NDArray[np.uint8]) -> tuple[LeftOut, ...]:
    return tuple(LeftOut(file, reason) for file, reason in json.loads(stored.tobytes()))


class SliceStore:
    """Reads a slice store; safe to use from several threads and across a fork.

    Attributes:
        path: the store.
        index: one line per slice in the order of the numbers, see `INDEX_TYPES`.
        classes: names of the classes in the order of the labels, which count from 1; if empty, every label is 1.
        channels: names of the channels in the order of the images; empty for gray images.
        has_masks: whether the data set has masks; without, all are empty.
        digest: SHA-256 of the content; equal digests mean equal slices, classes, and channels.
        slice_digests: (n, 32) uint8, the digest of each slice in index order.
        layout: what the slices came from, "cjdata" (`.mat` files) or "table" (images that a table names).
        cvind: published fold of each slice number, empty where the source had no `cvind.mat`.
        rejects: files that `convert --keep-going` left out.
        ignored: files of other kinds that the source also held.
    """

    def __init__(self, path: Path | str) -> None:
        """Open a store.

        Raises:
            UserError: it or its index is missing, truncated, or something else.
        """
        self.path = Path(path)
        try:
            with h5py.File(self.path, "r") as file:
                if file.attrs.get("format") != FORMAT:
                    raise UserError(f"{path}: is not a slice store of format {FORMAT}; make one with mmran convert")
                self._read_header(file)
        except FileNotFoundError as error:
            raise UserError(f"{path}: no such store; make it with mmran convert") from error
        except PermissionError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        except (OSError, LookupError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: is not a whole slice store; make it again with mmran convert") from error
        self.index = _read_index(self.path.with_name(INDEX_NAME), self._index_sha256, self.path)
        if not self._fits_index():
            raise UserError(f"{path}: does not fit its {INDEX_NAME}; make both again with mmran convert")
        numbers = self.index["slice"].tolist()
        self._facts = {name: self.index[name].tolist() for name in (*_DIGESTED, "family")}
        self._places = {
            number: (group, row, i)
            for i, (number, group, row) in enumerate(zip(numbers, self.index["group"], self.index["row"], strict=True))
        }
        self.cvind = {number: int(fold) for number, fold in zip(numbers, self.folds, strict=True) if fold}

    def _read_header(self, file: h5py.File) -> None:
        self.digest = str(file.attrs["digest"])
        self.classes = read_classes(file.attrs)
        self.channels = read_channels(file.attrs)
        self.has_masks = bool(file.attrs.get("masks", True))
        self.layout = str(file.attrs.get("layout", DEFAULT_LAYOUT))
        self.rejects = _left_out(file["rejects"][()])
        self.ignored = _left_out(file["ignored"][()])
        self._index_sha256 = str(file.attrs["index_sha256"])
        self.slice_digests: NDArray[np.uint8] = file["slice_sha256"][()]
        self.folds: NDArray[np.int32] = file["cvind"][()]
        points = file["border/points"]
        self._border_points: NDArray[np.float64] = self._map(points) if points.size else points[()]
        self._border_start: NDArray[np.int64] = file["border/start"][()]
        self._groups = {
            name: (self._map(group["image"]), self._map(group["mask"]))
            for name, group in file.items()
            if isinstance(group, h5py.Group) and "image" in group
        }

    def _fits_index(self) -> bool:
        """Whether every row of the index has its place in the file."""
        n, channels = len(self.index), (len(self.channels),) if self.channels else ()
        sizes = self.index.groupby("group").size().to_dict()
        return (
            self.slice_digests.shape == (n, 32)
            and self.folds.shape == (n,)
            and self._border_start.shape == (n + 1,)
            and sizes == {name: len(images) for name, (images, _) in self._groups.items()}
            and all(
                images.shape == (len(masks), *channels, *masks.shape[1:]) for images, masks in self._groups.values()
            )
        )

    def _map(self, dataset: h5py.Dataset) -> NDArray[Any]:
        """The dataset as mapped pages: no HDF5 handle stays open that a fork would break."""
        return np.memmap(self.path, dataset.dtype, "r", dataset.id.get_offset(), dataset.shape)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Unmap the file."""
        self._groups = {}

    def __len__(self) -> int:
        return len(self.index)

    @property
    def tasks(self) -> tuple[str, ...]:
        """What networks can learn here: "segmentation", "classification", or both."""
        return (*([SEGMENTATION] if self.has_masks else []), *([CLASSIFICATION] if self.classes else []))

    @property
    def groups(self) -> list[str]:
        """Names of the native sizes, `{H}x{W}`."""
        return list(self._groups)

    @property
    def image_type(self) -> np.dtype[Any]:
        """Type of the stored intensities."""
        return next(iter(self._groups.values()))[0].dtype

    def read(self, number: int, *, check: bool = True) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Copies of the image (H, W) or (C, H, W), in the store's type, and the mask (H, W) uint8 of a slice.

        Args:
            number: the slice number.
            check: whether to compare the slice with the checksum it was converted with.

        Raises:
            UserError: the store has no such slice, or the slice changed after conversion.
        """
        group, row, i = self._place(number)
        images, masks = self._groups[group]
        image, mask = np.array(images[row]), np.array(masks[row])
        if check and self.digest_of(number, image, mask) != self.slice_digests[i].tobytes():
            raise UserError(f"{self.path}: slice {number} changed after conversion; run mmran convert again")
        return image, mask

    def digest_of(self, number: int, image: NDArray[Any], mask: NDArray[np.uint8]) -> bytes:
        """SHA-256 of a slice as it is now, see `slice_digest`."""
        facts = {name: column[self._place(number)[2]] for name, column in self._facts.items()}
        return slice_digest(facts, narrow(image), mask, self.border(number))

    def read_group(self, group: str) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """All images (n, H, W) or (n, C, H, W) and masks (n, H, W) uint8 of one size, in index order.

        They are read-only views of the file: pages are read when touched and never copied, and no checksum is
        compared.
        """
        return self._groups[group]

    @property
    def has_borders(self) -> bool:
        """Whether any slice has a border polygon."""
        return bool(self._border_start[-1] > 0)

    def border(self, number: int) -> NDArray[np.float64]:
        """(n, 2) float64 x, y of a slice's border polygon, in pixels from zero."""
        _, _, i = self._place(number)
        return np.array(self._border_points[self._border_start[i] : self._border_start[i + 1]])

    def _place(self, number: int) -> tuple[str, int, int]:
        try:
            return self._places[int(number)]
        except KeyError:
            raise UserError(f"{self.path}: holds no slice {number}, expected one of its {INDEX_NAME}") from None


def _read_index(path: Path, expected_sha256: str, store: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UserError(f"{path}: no such file, but {store.name} needs its index; run mmran convert again")
    if sha256_file(path) != expected_sha256:
        raise UserError(f"{path}: is not the index that was written with {store.name}; run mmran convert again")
    return pd.read_csv(path, dtype=INDEX_TYPES, keep_default_na=False)
