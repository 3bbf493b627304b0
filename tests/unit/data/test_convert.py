"""Conversion: what happens to every kind of bad file."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from mmran.data.cheng import write_slice
from mmran.data.convert import convert
from mmran.data.store import INDEX_NAME, SliceStore
from mmran.errors import UserError
from tests.unit.data.slices import left_behind, make_slice


def truncated(folder: Path) -> None:
    path = folder / "10.mat"
    path.write_bytes(path.read_bytes()[:-100])


def not_hdf5(folder: Path) -> None:
    (folder / "10.mat").write_text("this is no slice")


def with_field(name: str, value: np.ndarray | None) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        with h5py.File(folder / "10.mat", "r+") as file:
            del file[f"cjdata/{name}"]
            if value is not None:
                file[f"cjdata/{name}"] = value

    return spoil


def two_files_with_one_number(folder: Path) -> None:
    (folder / "more").mkdir()
    shutil.copy(folder / "10.mat", folder / "more" / "10.mat")


def two_labels(folder: Path) -> None:
    write_slice(folder, make_slice(10, label=3, pid="100360"))


def no_number(folder: Path) -> None:
    (folder / "10.mat").rename(folder / "ten.mat")


def bad_archive(folder: Path) -> None:
    (folder / "10.zip").write_bytes(b"PK\x03\x04 and then nothing")


def bad_fold_list(folder: Path) -> None:
    (folder / "cvind.mat").write_bytes(b"nothing")


# what is spoilt, the file that is named, the reason, and the slices that are left when going on
BAD_INPUTS = {
    "truncated file": (truncated, "10.mat", "is truncated or damaged", [2, 3, 11]),
    "not HDF5": (not_hdf5, "10.mat", "is not HDF5", [2, 3, 11]),
    "missing field": (with_field("image", None), "10.mat", "field image of cjdata is missing", [2, 3, 11]),
    "label outside 1-3": (with_field("label", np.array([[4.0]])), "10.mat", "label is 4.0", [2, 3, 11]),
    "NaN": (with_field("image", np.full((8, 8), np.nan)), "10.mat", "64 pixels that are NaN", [2, 3, 11]),
    "mask of another shape": (
        with_field("tumorMask", np.ones((8, 7), dtype=np.uint8)),
        "10.mat",
        "mask is 7 x 8, but its image 8 x 8",
        [2, 3, 11],
    ),
    "empty mask": (with_field("tumorMask", np.zeros((8, 8))), "10.mat", "mask is empty", [2, 3, 11]),
    "two files with one number": (two_files_with_one_number, "10.mat", "has slice number 10", [2, 3, 11]),
    "one PID with two labels": (two_labels, "10.mat", "patient 100360 has label 3 here and 1 in", [2, 3]),
    "no slice number": (no_number, "ten.mat", "its name is not a slice number", [2, 3, 11]),
    "damaged archive": (bad_archive, "10.zip", "is a truncated or damaged archive", [2, 3, 10, 11]),
    "damaged fold list": (bad_fold_list, "cvind.mat", "is not HDF5", [2, 3, 10, 11]),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_stops_with_file_and_reason_and_leaves_nothing(folder: Path, output: Path, case: str) -> None:
    spoil, file, reason, _ = BAD_INPUTS[case]
    spoil(folder)
    with pytest.raises(UserError) as caught:
        convert([folder], output)
    assert file in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert left_behind(output) == []


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_keep_going_leaves_bad_input_out_and_lists_it(folder: Path, output: Path, case: str) -> None:
    spoil, file, reason, left = BAD_INPUTS[case]
    spoil(folder)
    store = convert([folder], output, keep_going=True)
    assert store.index["slice"].tolist() == left
    assert file in store.rejects[0].file
    assert any(reason in reject.reason for reject in store.rejects)
    with h5py.File(output) as stored:
        assert json.loads(stored["rejects"][()].tobytes()) == [[item.file, item.reason] for item in store.rejects]


def test_a_failed_conversion_leaves_the_former_store_as_it_was(folder: Path, output: Path) -> None:
    digest = convert([folder], output).digest
    truncated(folder)
    with pytest.raises(UserError):
        convert([folder], output)
    assert SliceStore(output).digest == digest
    assert left_behind(output) == [INDEX_NAME, "slices.h5"]


def test_no_thread_outlives_a_failed_conversion(folder: Path, output: Path) -> None:
    before = set(threading.enumerate())
    truncated(folder)
    with pytest.raises(UserError) as caught:
        convert([folder], output)
    assert caught.value.__traceback__ is not None  # it still holds the frames of the conversion
    assert set(threading.enumerate()) <= before


def test_nothing_left_is_an_error_even_when_going_on(folder: Path, output: Path) -> None:
    for path in folder.glob("[0-9]*.mat"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"no slice is left, all 4 files are unusable, the first: .*2\.mat"):
        convert([folder], output, keep_going=True)
    assert left_behind(output) == []


@pytest.mark.parametrize("field_of_view_mm", [0, -1, float("nan"), float("inf")])
def test_a_field_of_view_is_a_positive_length(folder: Path, output: Path, field_of_view_mm: float) -> None:
    with pytest.raises(UserError, match="field of view"):
        convert([folder], output, field_of_view_mm=field_of_view_mm)
