"""The files of the brain tumour data set: one slice per `N.mat`, and the fold list `cvind.mat`.

Both are MATLAB v7.3, which is HDF5 behind a user block of 512 bytes. MATLAB stores columns first and HDF5
rows first, so an image of H x W lies in the file as W x H and is transposed here.

Source: Cheng et al. 2015, PLoS ONE 10(10):e0140381, doi 10.6084/m9.figshare.1512427.
"""

import contextlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mmran.errors import UserError

CLASS_NAMES = ("meningioma", "glioma", "pituitary")
"""The classes in the order of their labels: files say 1, 2, 3 and tensors 0, 1, 2."""

FIELDS = ("PID", "image", "label", "tumorBorder", "tumorMask")
LARGEST_SIDE = 4096

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_USER_BLOCK_BYTES = 512
_DAMAGE = (OSError, ValueError, RuntimeError, KeyError, TypeError)


class SliceError(UserError):
    """A file that is not a usable slice.

    Attributes:
        file: where it lies, as a person would look for it.
        reason: what is wrong with it.
    """

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason


@dataclass(frozen=True, eq=False)
class Slice:
    """One slice of one patient.

    Attributes:
        number: the N of `N.mat`.
        label: 1 meningioma, 2 glioma, 3 pituitary tumour.
        pid: patient identifier as the file gives it.
        image: (H, W) intensities in the file's own type.
        mask: (H, W) uint8, 1 where the tumour is.
        border: (n, 2) float64 x, y in pixels, zero at the centre of the first pixel.
    """

    number: int
    label: int
    pid: str
    image: NDArray[Any]
    mask: NDArray[np.uint8]
    border: NDArray[np.float64]


def pid_family(pid: str) -> str:
    """The patient behind an examination: the PID without a letter that follows its last digit.

    MR040240, MR040240B, MR040240C and MR040240D look like repeat examinations of one person. The rule makes
    209 families of the 233 PIDs of the published set.
    """
    return re.sub(r"(?<=\d)[A-Z]$", "", pid)


def read_slice(path: Path | str) -> Slice:
    """Read `N.mat`.

    Raises:
        SliceError: it cannot be read or is not a usable slice.
    """
    path = Path(path)
    number = slice_number(path.name)
    if number is None:
        raise SliceError(str(path), "its name is not a slice number such as 17.mat")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SliceError(str(path), f"cannot be read ({error.strerror})") from error
    return parse_slice(data, str(path), number)


def slice_number(file_name: str) -> int | None:
    """The N of `N.mat`, or None where the name is another."""
    match = re.fullmatch(r"0*([1-9]\d{0,8})\.mat", file_name)
    return int(match[1]) if match else None


def parse_slice(data: bytes, file: str, number: int) -> Slice:
    """Read a slice from the bytes of its file.

    Args:
        data: the whole file.
        file: its name for messages.
        number: its slice number.

    Raises:
        SliceError: not HDF5, truncated, a field missing or holding what it should not.
    """
    with _matlab_file(data, file) as root:
        struct = root.get("cjdata")
        if not isinstance(struct, h5py.Group):
            raise SliceError(file, f"holds no cjdata struct, but {', '.join(root) or 'nothing'}")
        missing = [name for name in FIELDS if not isinstance(struct.get(name), h5py.Dataset)]
        if missing:
            raise SliceError(file, f"field {', '.join(missing)} of cjdata is missing")
        shape = struct["image"].shape
        if len(shape) != 2 or not 0 < min(shape) <= max(shape) <= LARGEST_SIDE:
            raise SliceError(file, f"image has shape {shape}, expected two sides of 1 to {LARGEST_SIDE}")
        if struct["tumorMask"].shape != shape:
            mask_size = " x ".join(map(str, reversed(struct["tumorMask"].shape)))
            raise SliceError(file, f"mask is {mask_size}, but its image {shape[1]} x {shape[0]}")
        fields = {name: np.asarray(struct[name][()]) for name in FIELDS}
    return Slice(
        number=number,
        label=_label(fields["label"], file),
        pid=_pid(fields["PID"], file),
        image=_image(fields["image"].T, file),
        mask=_mask(fields["tumorMask"].T, file),
        border=_border(fields["tumorBorder"], file),
    )


@contextlib.contextmanager
def _matlab_file(data: bytes, file: str) -> Iterator[h5py.File]:
    """The HDF5 file in `data`, with whatever HDF5 says of damaged bytes turned into one line."""
    if data[:_USER_BLOCK_BYTES].startswith(b"MATLAB 5.0"):
        raise SliceError(file, "is a MATLAB v5 file, expected v7.3 (HDF5); save it with -v7.3")
    if _HDF5_SIGNATURE not in (data[:8], data[_USER_BLOCK_BYTES : _USER_BLOCK_BYTES + 8]):
        raise SliceError(file, "is not HDF5, expected a MATLAB v7.3 file" if data else "is an empty file")
    try:
        with h5py.File(h5py.h5f.open_file_image(data), "r") as root:
            yield root
    except _DAMAGE as error:
        raise SliceError(file, f"is truncated or damaged (HDF5 cannot read its {len(data)} bytes)") from error


def _label(raw: NDArray[Any], file: str) -> int:
    if raw.size != 1 or raw.dtype.kind not in "iuf" or raw.item() not in (1, 2, 3):
        found = raw.item() if raw.size == 1 else f"{raw.size} values"
        raise SliceError(file, f"label is {found}, expected 1, 2 or 3")
    return int(raw.item())


def _pid(raw: NDArray[Any], file: str) -> str:
    # MATLAB keeps the text as character codes; an empty text as the two numbers of its shape.
    codes = raw.ravel() if raw.dtype.kind == "u" else raw[:0]
    pid = "".join(map(chr, codes)).strip()
    if not re.fullmatch(r"[!-~]+", pid) or "," in pid:
        raise SliceError(file, f"PID is {pid!r}, expected a patient identifier without blanks and commas")
    return pid


def _image(raw: NDArray[Any], file: str) -> NDArray[Any]:
    if raw.dtype.kind not in "iuf":
        raise SliceError(file, f"image holds {raw.dtype}, expected numbers")
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        n_bad = np.count_nonzero(~np.isfinite(raw))
        raise SliceError(file, f"image has {n_bad} pixels that are NaN or infinite")
    return np.ascontiguousarray(raw)


def _mask(raw: NDArray[Any], file: str) -> NDArray[np.uint8]:
    # Maximum and minimum suffice for whole numbers; only other types need a look at every pixel.
    whole = raw.dtype.kind in "bui" and 0 <= raw.min() <= raw.max() <= 1
    if not whole and not np.array_equal(raw, raw != 0):
        raise SliceError(file, "mask holds values other than 0 and 1")
    if not raw.any():
        raise SliceError(file, "mask is empty, expected at least one tumour pixel")
    return np.ascontiguousarray(raw, dtype=np.uint8)


def _border(raw: NDArray[Any], file: str) -> NDArray[np.float64]:
    if raw.dtype.kind not in "iuf" or raw.size % 2:
        raise SliceError(file, f"tumorBorder has {raw.size} values, expected x and y in turn")
    border = np.asarray(raw, dtype=np.float64).reshape(-1, 2) - 1  # (n, 2); MATLAB counts from one
    if not np.isfinite(border).all():
        raise SliceError(file, "tumorBorder has coordinates that are NaN or infinite")
    return border


def read_cvind(path: Path | str) -> dict[int, int]:
    """Read `cvind.mat`: the published fold, counted from one, of each slice number.

    Raises:
        SliceError: it cannot be read or holds no fold list.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise SliceError(str(path), f"cannot be read ({error.strerror})") from error
    return parse_cvind(data, str(path))


def parse_cvind(data: bytes, file: str) -> dict[int, int]:
    """Read the fold list from the bytes of `cvind.mat`; see `read_cvind`."""
    with _matlab_file(data, file) as root:
        dataset = root.get("cvind")
        if not isinstance(dataset, h5py.Dataset):
            raise SliceError(file, f"holds no cvind, but {', '.join(root) or 'nothing'}")
        folds = np.asarray(dataset[()]).ravel()
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
    with _new_matlab_file(path) as root:
        struct = root.create_group("cjdata")
        struct.attrs["MATLAB_class"] = np.bytes_("struct")
        border = item.border.reshape(1, -1) + 1
        _put(struct, "PID", np.array([[ord(c)] for c in item.pid], dtype=np.uint16), "char", decode=2)
        _put(struct, "image", item.image.astype(np.int16).T, "int16")
        _put(struct, "label", np.array([[item.label]], dtype=np.float64), "double")
        _put(struct, "tumorBorder", border.astype(np.float64), "double")
        _put(struct, "tumorMask", item.mask.astype(np.uint8).T, "logical", decode=1)
    return path


def write_cvind(folder: Path | str, folds: Sequence[int]) -> Path:
    """Write `cvind.mat`: `folds[i]`, counted from one, is the fold of slice i + 1."""
    path = Path(folder) / "cvind.mat"
    with _new_matlab_file(path) as root:
        _put(root, "cvind", np.array([folds], dtype=np.float64), "double")
    return path


@contextlib.contextmanager
def _new_matlab_file(path: Path) -> Iterator[h5py.File]:
    """A new MATLAB v7.3 file, written when the block ends."""
    # HDF5 writes to memory: a full disk is then an ordinary error of one ordinary write.
    memory = io.BytesIO()
    with h5py.File(memory, "w", userblock_size=_USER_BLOCK_BYTES) as root:
        yield root
    # No date in the header: the same slice makes the same bytes.
    header = b"MATLAB 7.3 MAT-file, Platform: mmran, HDF5 schema 1.00 .".ljust(116)
    memory.seek(0)
    memory.write(header + bytes(8) + b"\x00\x02IM")
    try:
        path.write_bytes(memory.getvalue())
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error


def _put(group: h5py.Group, name: str, data: NDArray[Any], matlab_class: str, decode: int | None = None) -> None:
    compression: dict[str, Any] = {"chunks": data.shape, "compression": 3} if data.size > 4096 else {}
    dataset = group.create_dataset(name, data=data, **compression)
    dataset.attrs["MATLAB_class"] = np.bytes_(matlab_class)
    if decode is not None:
        dataset.attrs["MATLAB_int_decode"] = np.int32(decode)


def border_mask(border: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Fill a closed polygon: pixels whose centre lies inside by the even-odd rule.

    Args:
        border: (n, 2) x, y in pixels, as in `Slice.border`.
        shape: (H, W).

    Returns:
        (H, W) uint8.
    """
    height, width = shape
    crossings = np.zeros((height, width + 1), dtype=np.int32)
    for (x0, y0), (x1, y1) in zip(border, np.roll(border, -1, axis=0), strict=True):
        # Half open in y, so that a row through a vertex is crossed once by the two edges that meet there.
        low, high = np.clip(np.ceil([min(y0, y1), max(y0, y1)]), 0, height).astype(int)
        rows = np.arange(low, high)
        columns = np.ceil(x0 + (rows - y0) * (x1 - x0) / (y1 - y0)) if rows.size else rows
        np.add.at(crossings, (rows, np.clip(columns, 0, width).astype(int)), 1)
    return (np.cumsum(crossings[:, :width], axis=1) & 1).astype(np.uint8)
