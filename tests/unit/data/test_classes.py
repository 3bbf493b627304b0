"""Classes of a data set of one's own, from the table to the split."""

from pathlib import Path

import numpy as np
import pytest

from mmran.data.audit import audit
from mmran.data.cheng import Slice, write_slice
from mmran.data.classes import checked_classes
from mmran.data.convert import convert
from mmran.data.protocol import Protocol
from mmran.data.published import CLASSES
from mmran.data.split_report import SplitReport
from mmran.data.splits import make_split
from mmran.data.store import SliceStore
from mmran.errors import UserError
from tests.own_data import draw

BINARY = ("benign", "malignant")


def converted(tmp_path: Path, classes=BINARY) -> SliceStore:
    return convert([draw(tmp_path / "own", classes)], tmp_path / "s.h5", classes=classes)


def test_a_store_carries_its_classes_and_counts_them(tmp_path: Path) -> None:
    store = converted(tmp_path)
    assert store.classes == BINARY
    assert sorted(store.index["label"].unique()) == [1, 2]
    found = audit(store)
    assert {name: count.slices for name, count in found.classes.items()} == {"benign": 12, "malignant": 12}
    assert found.digest.verified
    protocol = Protocol.from_values({"method": "family", "folds": 3, "seed": 1, "apart": "family"}, "protocol")
    report = SplitReport.of(make_split(store.index, protocol), protocol, store.digest, store.classes)
    # 12 patients in three folds: four test, two of each class with two slices.
    assert report.folds[0].test.classes == {"benign": 4, "malignant": 4}


def test_five_classes_are_five_labels(tmp_path: Path) -> None:
    names = ("a", "b", "c", "d", "e")
    assert sorted(converted(tmp_path, names).index["label"].unique()) == [1, 2, 3, 4, 5]


def test_the_same_slices_under_other_names_of_classes_have_another_digest(tmp_path: Path) -> None:
    folder = draw(tmp_path / "own", ("1", "2"))
    digests = {convert([folder], tmp_path / "s.h5", classes=names).digest for names in (("x", "y"), ("x", "y", "z"))}
    assert len(digests) == 2


def test_published_classes_leave_the_store_without_an_attribute(tmp_path: Path) -> None:
    import h5py

    store = converted(tmp_path, CLASSES)
    assert store.classes == CLASSES
    with h5py.File(store.path) as file:
        assert "classes" not in file.attrs


def test_a_label_outside_the_classes_is_one_line_with_row_value_and_known_classes(tmp_path: Path) -> None:
    folder = draw(tmp_path / "own", ("benign", "malignent"))
    with pytest.raises(UserError) as error:
        convert([folder], tmp_path / "s.h5", classes=BINARY)
    said = str(error.value)
    assert said.startswith(f"{folder / 'slices.csv'} line 4: label is 'malignent', expected 1 to 2 or a name")
    assert "benign, malignant" in said
    assert "\n" not in said


def test_mat_files_take_any_number_of_classes(tmp_path: Path) -> None:
    folder = tmp_path / "mat"
    folder.mkdir()
    image, border = np.arange(16, dtype=np.int16).reshape(4, 4), np.array([[1.0, 1.0], [2.0, 2.0]])
    write_slice(folder, Slice(1, 4, "P1", image, (image == 5).astype(np.uint8), border))
    assert convert([folder], tmp_path / "s.h5", classes=("a", "b", "c", "d")).index["label"].tolist() == [4]
    with pytest.raises(UserError, match=r"1\.mat: label is 4\.0, expected 1 or 2 \(benign, malignant\)"):
        convert([folder], tmp_path / "t.h5", classes=BINARY)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["one"], "two or more different names"),
        (["one", "one"], "two or more different names"),
        (["one", "lung cancer"], "'lung cancer' is no usable name"),
        (["one", "macro"], "'macro' is no usable name"),
        (["one", "one_low"], "'one_low' is no usable name"),
    ],
)
def test_names_that_cannot_be_part_of_a_column_are_refused(names: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        checked_classes(names, "classes")
