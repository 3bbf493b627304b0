"""The files of the brain tumor data set: one slice per `N.mat`, and the fold list `cvind.mat`.

Both are MATLAB v7.3, which is HDF5 behind a user block of 512 bytes. MATLAB stores columns first and HDF5
rows first, so an H x W image is W x H in the file and is transposed here.

Source: Cheng et al. 2015, PLoS ONE 10(10):e0140381, doi 10.6084/m9.figshare.1512427.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from mmran.data.classes import known_labels
from mmran.data.matlab import SliceError, file_bytes, matlab_file, member, new_matlab_file, put, values
from mmran.data.pids import read_pid
from mmran.data.published import CLASSES
from mmran.errors import UserError

FIELDS = ("PID", "image", "label", "tumorBorder", "tumorMask")

FOLDS_FILE: Final = "cvind.mat"
"""The file with the published fold of each slice."""

LARGEST_SIDE: Final = 4096
LARGEST_INTENSITY: Final = 2.0**53
"""Beyond this, float64 cannot tell whole numbers apart."""

MOST_BORDER_POINTS: Final = 16384
"""As many as a border through every pixel around the largest image."""

LARGEST_COORDINATE: Final = 10 * LARGEST_SIDE

_MOST_BYTES: Final = {
    "image": 16 * LARGEST_SIDE**2,
    "tumorMask": 16 * LARGEST_SIDE**2,
    "label": 4096,
    "tumorBorder": 16 * 2 * MOST_BORDER_POINTS,
}


@dataclass(frozen=True, eq=False)
class Slice:
    """One slice of one patient.

    Attributes:
        number: the N of `N.mat`.
        label: its class, counted from 1; 1 meningioma, 2 glioma, 3 pituitary tumor in the published set.
        pid: patient identifier, as in the file.
        image: (H, W) intensities in the file's own type.
        mask: (H, W) uint8, 1 in the tumor.
        border: (n, 2) float64 x, y in pixels, zero at the center of the first pixel.
    """

    number: int
    label: int
    pid: str
    image: NDArray[Any]
    mask: NDArray[np.uint8]
    border: NDArray[np.float64]


def read_slice(path: Path | str) -> Slice:
    """Read `N.mat`.

    Raises:
        SliceError: it cannot be read or is not a usable slice.
    """
    path = Path(path)
    number = slice_number(path.name)
    if number is None:
        raise SliceError(str(path), "its name is not a slice number such as 17.mat")
    return parse_slice(file_bytes(path), str(path), number)


def slice_number(file_name: str) -> int | None:
    """The N of `N.mat`, in upper or lower case; None for any other name."""
    match = re.fullmatch(r"0*([1-9][0-9]{0,8})\.mat", file_name, re.IGNORECASE)
    return int(match[1]) if match else None


def parse_slice(data: bytes, file: str, number: int, classes: Sequence[str] = CLASSES) -> Slice:
    """Read a slice from the bytes of its file.

    Args:
        data: the whole file.
        file: its name for messages.
        number: its slice number.
        classes: names of the classes, of which the label is one.

    Raises:
        SliceError: not HDF5, truncated, or a field is missing or has wrong values.
    """
    with matlab_file(data, file) as root:
        fields = _fields(_struct(root, file), file)
        shape = _image_shape(fields["image"], file)
        if fields["tumorMask"].shape != shape:
            mask_size = " x ".join(map(str, reversed(fields["tumorMask"].shape or ()))) or "empty"
            raise SliceError(file, f"mask is {mask_size}, but its image {shape[1]} x {shape[0]}")
        raw = {name: values(fields[name], name, file, most) for name, most in _MOST_BYTES.items()}
        pid = read_pid(fields["PID"], file)
    return Slice(
        number=number,
        label=_label(raw["label"], file, classes),
        pid=pid,
        image=usable_image(raw["image"].T, file),
        mask=_mask(raw["tumorMask"].T, file),
        border=_border(raw["tumorBorder"], file),
    )


def parse_image(data: bytes, file: str) -> NDArray[Any]:
    """Read the image alone, from a file that needs no mask, class, or patient.

    Args:
        data: the whole file.
        file: its name for messages.

    Returns:
        (H, W) intensities in the file's own type.

    Raises:
        SliceError: not HDF5, truncated, or it holds no usable image.
    """
    with matlab_file(data, file) as root:
        image = member(_struct(root, file), "image", file)
        if not isinstance(image, h5py.Dataset):
            raise SliceError(file, "field image of cjdata is missing")
        _image_shape(image, file)
        return usable_image(values(image, "image", file, _MOST_BYTES["image"]).T, file)


def _struct(root: h5py.File, file: str) -> h5py.Group:
    struct = member(root, "cjdata", file)
    if not isinstance(struct, h5py.Group):
        raise SliceError(file, f"holds no cjdata struct, but {_names(root)}")
    return struct


def _image_shape(image: h5py.Dataset, file: str) -> tuple[int, int]:
    shape = image.shape
    if shape is None or len(shape) != 2 or not 0 < min(shape) <= max(shape) <= LARGEST_SIDE:
        raise SliceError(file, f"image has shape {shape}, expected two sides of 1 to {LARGEST_SIDE}")
    return shape


def _names(root: h5py.File) -> str:
    names = list(root)
    return (", ".join(names[:5]) + (", ..." if len(names) > 5 else "")) or "nothing"


def _fields(struct: h5py.Group, file: str) -> dict[str, h5py.Dataset]:
    found = {name: member(struct, name, file) for name in FIELDS}
    datasets = {name: field for name, field in found.items() if isinstance(field, h5py.Dataset)}
    if missing := [name for name in FIELDS if name not in datasets]:
        raise SliceError(file, f"field {', '.join(missing)} of cjdata is missing")
    return datasets


def _label(raw: NDArray[Any], file: str, classes: Sequence[str]) -> int:
    if raw.dtype.kind not in "iuf":
        raise SliceError(file, f"label has type {raw.dtype}, expected {known_labels(classes)}")
    if raw.size != 1 or raw.item() not in range(1, len(classes) + 1):
        found = raw.item() if raw.size == 1 else f"{raw.size} values"
        names = "" if tuple(classes) == CLASSES else f" ({', '.join(classes)})"
        raise SliceError(file, f"label is {found}, expected {known_labels(classes)}{names}")
    return int(raw.item())


def usable_image(raw: NDArray[Any], file: str) -> NDArray[Any]:
    """Check an image (H, W), and return it contiguous.

    Raises:
        SliceError: it is of a type or has intensities that no slice has.
    """
    if raw.dtype.kind not in "iuf" or raw.dtype.itemsize > 8:
        raise SliceError(file, f"image holds {raw.dtype}, expected numbers of at most 64 bits")
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        n_bad = np.count_nonzero(~np.isfinite(raw))
        raise SliceError(file, f"image has {n_bad} pixels that are NaN or infinite")
    if raw.dtype.itemsize > 2:
        low, high = float(raw.min()), float(raw.max())
        if not -LARGEST_INTENSITY <= low <= high <= LARGEST_INTENSITY:
            raise SliceError(file, f"image has intensities of {low:g} to {high:g}, expected less than 2^53")
    return np.ascontiguousarray(raw)


def _mask(raw: NDArray[Any], file: str) -> NDArray[np.uint8]:
    if raw.dtype.kind not in "buif":
        raise SliceError(file, f"mask holds {raw.dtype}, expected 0 and 1")
    # Maximum and minimum suffice for whole numbers; floats need a look at every pixel.
    whole = raw.dtype.kind != "f" and 0 <= raw.min() <= raw.max() <= 1
    if not whole and not np.array_equal(raw, raw != 0):
        raise SliceError(file, "mask holds values other than 0 and 1")
    if not raw.any():
        raise SliceError(file, "mask is empty, expected at least one tumor pixel")
    return np.ascontiguousarray(raw, dtype=np.uint8)


def _border(raw: NDArray[Any], file: str) -> NDArray[np.float64]:
    if raw.dtype.kind not in "iuf":
        raise SliceError(file, f"tumorBorder holds {raw.dtype}, expected x and y in turn")
    if raw.size % 2 or raw.size > 2 * MOST_BORDER_POINTS:
        raise SliceError(
            file, f"tumorBorder has {raw.size} values, expected x and y in turn of at most {MOST_BORDER_POINTS} points"
        )
    border = np.asarray(raw, dtype=np.float64).reshape(-1, 2) - 1  # (n, 2); MATLAB counts from one
    if not np.isfinite(border).all():
        raise SliceError(file, "tumorBorder has coordinates that are NaN or infinite")
    if border.size and np.abs(border).max() > LARGEST_COORDINATE:
        farthest = np.abs(border).max()
        raise SliceError(
            file, f"tumorBorder has a coordinate of {farthest:g} px, expected at most {LARGEST_COORDINATE}"
        )
    return border


def read_cvind(path: Path | str) -> dict[int, int]:
    """Read `cvind.mat`: the published fold, counted from one, of each slice number.

    Raises:
        SliceError: it cannot be read or holds no fold list.
    """
    return parse_cvind(file_bytes(path), str(path))


def parse_cvind(data: bytes, file: str) -> dict[int, int]:
    """Read the fold list from the bytes of `cvind.mat`; see `read_cvind`."""
    with matlab_file(data, file) as root:
        dataset = member(root, "cvind", file)
        if not isinstance(dataset, h5py.Dataset):
            raise SliceError(file, f"holds no cvind, but {_names(root)}")
        folds = values(dataset, "cvind", file, _MOST_BYTES["image"]).ravel()
    if not folds.size or folds.dtype.kind not in "iuf" or not np.isin(folds, range(1, 1001)).all():
        raise SliceError(file, "cvind holds values that are not fold numbers counted from 1")
    return {number: int(fold) for number, fold in enumerate(folds, start=1)}


def write_slice(folder: Path | str, item: Slice) -> Path:
    """Write a slice as `N.mat` in the layout of the data set, image as int16.

    Raises:
        UserError: the folder cannot be written, or an intensity does not fit int16.
    """
    path = Path(folder) / f"{item.number}.mat"
    if not np.array_equal(item.image, item.image.astype(np.int16)):
        raise UserError(f"{path}: intensities do not fit int16, expected whole numbers of -32768 to 32767")
    with new_matlab_file(path) as root:
        struct = root.create_group("cjdata")
        struct.attrs["MATLAB_class"] = np.bytes_("struct")
        border = item.border.reshape(1, -1) + 1
        put(struct, "PID", np.array([[ord(c)] for c in item.pid], dtype=np.uint16), "char", decode=2)
        put(struct, "image", item.image.astype(np.int16).T, "int16")
        put(struct, "label", np.array([[item.label]], dtype=np.float64), "double")
        put(struct, "tumorBorder", border.astype(np.float64), "double")
        put(struct, "tumorMask", item.mask.astype(np.uint8).T, "logical", decode=1)
    return path


def write_cvind(folder: Path | str, folds: Sequence[int]) -> Path:
    """Write `cvind.mat`: `folds[i]`, counted from one, is the fold of slice i + 1."""
    path = Path(folder) / FOLDS_FILE
    with new_matlab_file(path) as root:
        put(root, "cvind", np.array([folds], dtype=np.float64), "double")
    return path


def border_mask(border: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Fill a closed polygon: the pixels whose center is inside by the even-odd rule.

    Args:
        border: (n, 2) x, y in pixels, as in `Slice.border`.
        shape: (H, W).

    Returns:
        (H, W) uint8.
    """
    height, width = shape
    x0, y0 = border.T
    x1, y1 = np.roll(border, -1, axis=0).T
    # Half open in y: of the two edges that meet at a vertex, one crosses the row through it.
    first = np.clip(np.ceil(np.minimum(y0, y1)), 0, height).astype(int)
    n_rows = np.clip(np.ceil(np.maximum(y0, y1)), 0, height).astype(int) - first
    crossings = np.zeros((height, width + 1), dtype=np.int32)
    # A block of edges at a time bounds the memory for their crossings.
    n_together = max(1, 2**20 // height)
    for start in range(0, len(border), n_together):
        edge = np.repeat(np.arange(start, min(start + n_together, len(border))), n_rows[start : start + n_together])
        n_before = np.cumsum(n_rows[start : start + n_together]) - n_rows[start : start + n_together]
        rows = first[edge] + np.arange(len(edge)) - n_before[edge - start]
        columns = np.ceil(x0[edge] + (rows - y0[edge]) * (x1[edge] - x0[edge]) / (y1[edge] - y0[edge]))
        np.add.at(crossings, (rows, np.clip(columns, 0, width).astype(int)), 1)
    return (np.cumsum(crossings[:, :width], axis=1) & 1).astype(np.uint8)
