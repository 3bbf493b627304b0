"""MATLAB v7.3 files: HDF5 behind a user block of 512 bytes, read as untrusted data.

An HDF5 file can point at any other file of the machine, and can claim any size. Here a file is a regular file
of bounded size, and so is every dataset in it; data stored elsewhere is refused.
"""

import contextlib
import io
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from mmran.errors import UserError

LARGEST_FILE_BYTES: Final = 300_000_000
"""Room for an image and a mask of 4096 x 4096 pixels, each in eight bytes."""

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_USER_BLOCK_BYTES = 512
_DAMAGE = (OSError, ValueError, RuntimeError, LookupError, TypeError, OverflowError, MemoryError)


class SliceError(UserError):
    """A file that is not a usable slice. File and reason are one printable line each.

    Attributes:
        file: its path, or its archive and the path in it.
        reason: what is wrong with it.
    """

    def __init__(self, file: str, reason: str) -> None:
        self.file, self.reason = _one_line(file), _one_line(reason)
        super().__init__(f"{self.file}: {self.reason}")


def _one_line(text: str) -> str:
    """The text with line breaks, control characters and bytes that are not UTF-8 escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def file_bytes(path: Path | str) -> bytes:
    """The bytes of a regular file of bounded size.

    Raises:
        SliceError: it is absent, unreadable, too large, or a pipe, device or folder.
    """
    try:
        found = Path(path).stat()
        refuse_special_file(found, str(path))
        refuse_large_file(found.st_size, str(path))
        with Path(path).open("rb") as file:
            return file.read(LARGEST_FILE_BYTES)
    except OSError as error:
        raise SliceError(str(path), f"cannot be read ({error.strerror})") from error


def refuse_special_file(found: os.stat_result, file: str) -> None:
    """Refuse a file that would block or never end when read."""
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, a socket or a device"
        raise SliceError(file, f"is {kind}, expected a regular file")


def refuse_large_file(n_bytes: int, file: str) -> None:
    """Refuse a file that claims more bytes than a slice can take."""
    if n_bytes > LARGEST_FILE_BYTES:
        raise SliceError(file, f"has {n_bytes} bytes, expected a slice of at most {LARGEST_FILE_BYTES}")


@contextlib.contextmanager
def matlab_file(data: bytes, file: str) -> Iterator[h5py.File]:
    """The HDF5 file in `data`; whatever HDF5 says of damaged bytes becomes one line.

    Args:
        data: the whole file.
        file: its name for messages.

    Raises:
        SliceError: not HDF5, truncated or damaged.
    """
    if data[:_USER_BLOCK_BYTES].startswith(b"MATLAB 5.0"):
        raise SliceError(file, "is a MATLAB v5 file, expected v7.3 (HDF5); save it with -v7.3")
    if _HDF5_SIGNATURE not in (data[:8], data[_USER_BLOCK_BYTES : _USER_BLOCK_BYTES + 8]):
        raise SliceError(file, "is not HDF5, expected a MATLAB v7.3 file" if data else "is an empty file")
    try:
        with h5py.File(h5py.h5f.open_file_image(data), "r") as root:
            yield root
    except _DAMAGE as error:
        raise SliceError(file, f"is truncated or damaged (HDF5 cannot read its {len(data)} bytes)") from error


def member(group: h5py.Group, name: str, file: str) -> h5py.Dataset | h5py.Group | None:
    """A dataset or group stored in the file itself; None if the name is unknown.

    Raises:
        SliceError: the name is a link to another place or another file.
    """
    links, key = group.id.links, name.encode()
    if not links.exists(key):
        return None
    if links.get_info(key).type != h5py.h5l.TYPE_HARD:
        raise SliceError(file, f"{name} is a link to another place, expected the data itself; save it again")
    found = group[name]
    return found if isinstance(found, h5py.Dataset | h5py.Group) else None


def values(dataset: h5py.Dataset, name: str, file: str, most_bytes: int) -> NDArray[Any]:
    """The values of a dataset, after checking where they are stored and how many bytes they claim.

    Args:
        dataset: a dataset of the file.
        name: its name for messages.
        file: the file's name for messages.
        most_bytes: the most that it may take.

    Returns:
        The values in their own type; empty where the dataset is a null.

    Raises:
        SliceError: they lie in another file, are too many, or are of a type that numpy lacks.
    """
    layout = dataset.id.get_create_plist()
    if layout.get_layout() == h5py.h5d.VIRTUAL or layout.get_external_count():
        raise SliceError(file, f"{name} lies in another file, expected the data itself; save it again")
    shape = dataset.shape
    if shape is None:
        return np.empty(0)
    try:
        item_bytes = dataset.dtype.itemsize
    except TypeError as error:
        raise SliceError(file, f"{name} has a type that cannot be read ({error})") from error
    n_bytes = math.prod(shape) * item_bytes
    # One chunk is read whole, however little of it belongs to the dataset.
    chunk = layout.get_chunk() if layout.get_layout() == h5py.h5d.CHUNKED else ()
    chunk_bytes = math.prod(chunk) * item_bytes
    if n_bytes > most_bytes or chunk_bytes > LARGEST_FILE_BYTES:
        raise SliceError(file, f"{name} claims {max(n_bytes, chunk_bytes)} bytes, expected at most {most_bytes}")
    return np.asarray(dataset[()])


@contextlib.contextmanager
def new_matlab_file(path: Path) -> Iterator[h5py.File]:
    """A new MATLAB v7.3 file, written to disk when the block ends.

    Raises:
        UserError: the file cannot be written.
    """
    # HDF5 writes to memory: a full disk is then an ordinary error of one ordinary write.
    memory = io.BytesIO()
    with h5py.File(memory, "w", userblock_size=_USER_BLOCK_BYTES) as root:
        yield root
    # No date in the header: the same slice makes the same bytes.
    header = b"MATLAB 7.3 MAT-file, Platform: mmran, HDF5 schema 1.00 .".ljust(116)
    memory.seek(0)
    memory.write(header + bytes(8) + b"\x00\x02IM")
    try:
        with path.open("wb") as file:
            file.write(memory.getbuffer())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error


def put(group: h5py.Group, name: str, data: NDArray[Any], matlab_class: str, decode: int | None = None) -> None:
    """Write a dataset with the attributes that MATLAB reads its class from."""
    compression: dict[str, Any] = {"chunks": data.shape, "compression": 3} if data.size > 4096 else {}
    dataset = group.create_dataset(name, data=data, **compression)
    dataset.attrs["MATLAB_class"] = np.bytes_(matlab_class)
    if decode is not None:
        dataset.attrs["MATLAB_int_decode"] = np.int32(decode)
