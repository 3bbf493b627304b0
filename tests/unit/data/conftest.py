"""Fixtures of the tests of data."""

from pathlib import Path

import pytest

from mmran.data.cheng import write_cvind, write_slice
from tests.unit.data.slices import make_slice


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four slices of two sizes, three patients and two families, and their published folds."""
    folder = tmp_path / "slices"
    folder.mkdir()
    write_slice(folder, make_slice(2, label=2, pid="MR040240"))
    write_slice(folder, make_slice(3, label=2, pid="MR040240B", side=4))
    write_slice(folder, make_slice(10, label=1, pid="100360"))
    write_slice(folder, make_slice(11, label=1, pid="100360"))
    write_cvind(folder, [5, 4, 3, 2, 1, 5, 4, 3, 2, 1, 2])
    return folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "results" / "slices.h5"
