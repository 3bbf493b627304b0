"""Patient identifiers as different tools write them, and families of examinations."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mmran.data.cheng import read_slice, write_slice
from mmran.data.matlab import SliceError
from mmran.data.pids import pid_family
from tests.unit.data.slices import make_slice

CODES = [ord(c) for c in "MR040240B"]


def put(name: str, data: Any, matlab_class: str | None = None, **options: Any) -> Callable[[h5py.Group], None]:
    def write(struct: h5py.Group) -> None:
        dataset = struct.create_dataset(name, data=data, **options)
        if matlab_class:
            dataset.attrs["MATLAB_class"] = np.bytes_(matlab_class)

    return write


def cell(*contents: Any) -> Callable[[h5py.Group], None]:
    """A MATLAB cell: references to datasets elsewhere in the file."""

    def write(struct: h5py.Group) -> None:
        refs = [struct.file.create_dataset(f"#refs#/{i}", data=data).ref for i, data in enumerate(contents)]
        put("PID", np.array([refs], dtype=h5py.ref_dtype), "cell")(struct)

    return write


def matlab_string(struct: h5py.Group) -> None:
    put("PID", np.array([[0xDD000000, 2, 1, 1, 1, 1]], dtype=np.uint32).T, "string")(struct)
    struct["PID"].attrs["MATLAB_object_decode"] = np.int32(3)


def pid_in(folder: Path, write: Callable[[h5py.Group], None]) -> str:
    path = write_slice(folder, make_slice(7))
    with h5py.File(path, "r+") as file:
        del file["cjdata/PID"]
        write(file["cjdata"])
    return read_slice(path).pid


@pytest.mark.parametrize(
    ("write", "pid"),
    [
        (put("PID", np.array([CODES], dtype=np.uint16).T, "char"), "MR040240B"),
        (put("PID", np.array([CODES], dtype=np.uint16), "char"), "MR040240B"),
        (put("PID", np.array([CODES], dtype=np.uint8)), "MR040240B"),
        (put("PID", np.array(CODES, dtype=np.uint32)), "MR040240B"),
        (put("PID", np.array([[*CODES, 0, 0]], dtype=np.uint16), "char"), "MR040240B"),
        (put("PID", np.array([[55]], dtype=np.uint16), "char"), "7"),
        (put("PID", "MR040240B"), "MR040240B"),
        (put("PID", ["MR040240B"]), "MR040240B"),
        (put("PID", np.bytes_("MR040240B")), "MR040240B"),
        (put("PID", np.array([b"MR040240B "], dtype="S12")), "MR040240B"),
        (put("PID", np.array([[c.encode() for c in "MR040240B"]], dtype="S1")), "MR040240B"),
        (put("PID", np.array([[100360.0]]), "double"), "100360"),
        (put("PID", 100360), "100360"),
        (put("PID", np.uint32(100360)), "100360"),
        (put("PID", np.array([[77]], dtype=np.uint16), "uint16"), "77"),
        (cell(np.array([CODES], dtype=np.uint16)), "MR040240B"),
        (cell("MR040240B"), "MR040240B"),
        (cell(np.array([[100360.0]])), "100360"),
    ],
)
def test_a_pid_is_read_as_its_tool_wrote_it(tmp_path: Path, write: Callable[[h5py.Group], None], pid: str) -> None:
    assert pid_in(tmp_path, write) == pid


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (matlab_string, r"PID is a MATLAB string object, .* cjdata\.PID = char\(cjdata\.PID\)"),
        (put("PID", h5py.Empty("f")), "PID holds 0 values of type float64"),
        (put("PID", h5py.Empty("u2")), "PID holds 0 values"),
        (put("PID", np.zeros((0, 1), dtype=np.uint16), "char"), "PID is '', expected a patient identifier"),
        (put("PID", np.array([0x110000, 65], dtype=np.uint32)), "character code 1114112, which is beyond Unicode"),
        (put("PID", np.array([0xD800, 65], dtype=np.uint16)), r"PID is '\\ud800A', expected a patient"),
        (put("PID", np.array([CODES, CODES], dtype=np.uint16), "char"), "matrix of 9 x 2 characters, expected one row"),
        (put("PID", np.array([[1.5]])), "PID is 1.5, expected text or a whole number"),
        (put("PID", np.array([[1]], dtype=np.uint8), "logical"), "PID holds 1 values of type uint8, expected text"),
        (put("PID", -3), "PID is -3, expected text or a whole number"),
        (put("PID", np.nan), "PID is nan, expected text or a whole number"),
        (put("PID", np.array([1.0, 2.0])), "PID holds 2 values of type float64, expected text or one number"),
        (put("PID", np.array([1 + 2j])), "PID holds 1 values of type complex128"),
        (put("PID", np.zeros(1, dtype=[("a", "f8")])), "PID holds 1 values of type"),
        (put("PID", ["MR1", "MR2"]), "PID holds 2 values of type object, expected one text"),
        (put("PID", np.bytes_(b"\xff\xfe")), r"PID is b'\\xff\\xfe', expected ASCII characters"),
        (put("PID", "M\u00fcller"), "PID is 'Müller', expected a patient identifier"),
        (put("PID", "two words"), "PID is 'two words', expected a patient identifier"),
        (put("PID", "a,b"), "PID is 'a,b', expected a patient identifier"),
        (
            put("PID", "=HYPERLINK(0)"),
            "PID is '=HYPERLINK",
        ),
        (put("PID", "x\ny"), r"PID is 'x\\ny', expected a patient identifier"),
        (put("PID", np.zeros(9000, dtype=np.uint16)), "PID claims 18000 bytes, expected at most 4096"),
        (cell(), "PID is a cell of 0 elements|PID holds 0 values|is truncated or damaged"),
        (cell("a", "b"), "PID is a cell of 2 elements, expected one text"),
    ],
)
def test_a_pid_that_is_none_is_refused_in_one_line(
    tmp_path: Path, write: Callable[[h5py.Group], None], reason: str
) -> None:
    with pytest.raises(SliceError, match=rf"7\.mat: .*({reason})") as caught:
        pid_in(tmp_path, write)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("pid", "family"),
    [
        ("MR040240", "MR040240"),
        ("MR040240B", "MR040240"),
        ("MR040240b", "MR040240"),
        ("MR029209I", "MR029209"),
        ("100360", "100360"),
        ("MR", "MR"),  # a letter that follows no digit is part of the name
        ("12AB", "12AB"),
    ],
)
def test_a_family_is_the_pid_without_the_letter_after_its_last_digit(pid: str, family: str) -> None:
    assert pid_family(pid) == family
