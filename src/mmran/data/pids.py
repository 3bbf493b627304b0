"""Patient identifiers: how files of different tools hold them, and which of them belong to one patient."""

import re
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mmran.data.matlab import SliceError, values

PID_PATTERN = r"\w[!-+\--~]*"
"""ASCII characters without blanks and commas, the first a letter, digit, or underscore."""

_MOST_BYTES = 4096
_LARGEST_CODE = 0x10FFFF


def pid_family(pid: str) -> str:
    """The patient behind an examination: the PID without one letter, of either case, after its last digit.

    MR040240, MR040240B, MR040240C and MR040240D look like repeat examinations of one patient. The rule makes
    209 families of the 233 PIDs of the published set.
    """
    return re.sub(r"(?<=[0-9])[A-Za-z]$", "", pid)


def read_pid(dataset: h5py.Dataset, file: str) -> str:
    """The PID of a slice, as MATLAB, scipy, h5py or hdf5storage write it.

    It may be characters in a row or column (MATLAB's char, or codes in unsigned integers), a string of fixed or
    variable length, a cell that holds one of these, or one whole number.

    Args:
        dataset: `cjdata/PID`.
        file: the file's name for messages.

    Raises:
        SliceError: it is something else, or holds blanks, commas or characters that are not ASCII.
    """
    pid = _text(dataset, file).strip("\0 ")
    if not re.fullmatch(PID_PATTERN, pid, re.ASCII):
        raise SliceError(
            file,
            f"PID is {_shortened(pid)}, expected a patient identifier of ASCII characters that starts with "
            "a letter or digit and has no blanks and commas",
        )
    return pid


def _text(dataset: h5py.Dataset, file: str, *, in_cell: bool = False) -> str:
    matlab_class = _matlab_class(dataset)
    if matlab_class == "string" or "MATLAB_object_decode" in dataset.attrs:
        raise SliceError(
            file, "PID is a MATLAB string object, expected char; convert it with cjdata.PID = char(cjdata.PID)"
        )
    raw = values(dataset, "PID", file, _MOST_BYTES)
    if h5py.check_ref_dtype(dataset.dtype) is h5py.Reference and not in_cell:
        return _text(_only_element(dataset, raw, file), file, in_cell=True)
    match raw.dtype.kind:
        case "S" | "O" | "U":
            return _string(raw, file)
        case "u" if matlab_class == "char" or (matlab_class is None and raw.size != 1):
            return _characters(raw, file)
        case "i" | "u" | "f" if raw.size == 1 and matlab_class != "logical":
            return _number(raw.item(), file)
    raise SliceError(file, f"PID holds {raw.size} values of type {raw.dtype}, expected text or one number")


def _matlab_class(dataset: h5py.Dataset) -> str | None:
    found = dataset.attrs.get("MATLAB_class")
    return found.decode("ascii", "replace") if isinstance(found, bytes) else found if isinstance(found, str) else None


def _only_element(dataset: h5py.Dataset, raw: NDArray[Any], file: str) -> h5py.Dataset:
    """What the one element of a cell refers to."""
    reference = raw.item() if raw.size == 1 else None
    found = dataset.file[reference] if reference else None
    if not isinstance(found, h5py.Dataset):
        raise SliceError(file, f"PID is a cell of {raw.size} elements, expected one text")
    return found


def _string(raw: NDArray[Any], file: str) -> str:
    # An array of single bytes is a text too, letter by letter.
    found = b"".join(raw.ravel().tolist()) if raw.dtype == "S1" else raw.item() if raw.size == 1 else None
    try:
        text = found.decode() if isinstance(found, bytes) else found
    except UnicodeDecodeError as error:
        raise SliceError(file, f"PID is {_shortened(found)}, expected ASCII characters") from error
    if not isinstance(text, str):
        raise SliceError(file, f"PID holds {raw.size} values of type {raw.dtype}, expected one text")
    return text


def _characters(raw: NDArray[Any], file: str) -> str:
    if sum(side > 1 for side in raw.shape) > 1:
        rows = " x ".join(map(str, reversed(raw.shape)))
        raise SliceError(file, f"PID is a matrix of {rows} characters, expected one row")
    if raw.size and raw.max() > _LARGEST_CODE:
        raise SliceError(file, f"PID has the character code {raw.max()}, which is beyond Unicode")
    return "".join(map(chr, raw.ravel().tolist()))


def _number(value: float, file: str) -> str:
    if not 0 <= value < 2**53 or value != np.trunc(value):
        raise SliceError(file, f"PID is {value}, expected text or a whole number from 0")
    return str(int(value))


def _shortened(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
