"""Data sets without masks, and without classes."""

from pathlib import Path

import numpy as np
import pytest

from mmran.data.audit import audit
from mmran.data.audit_record import Audit
from mmran.data.audit_text import render
from mmran.data.convert import convert
from mmran.data.protocol import Protocol
from mmran.data.split_report import SplitReport
from mmran.data.splits import make_split
from mmran.data.store import SliceStore
from mmran.data.tasks import TASKS
from mmran.errors import UserError
from tests.own_data import draw

BINARY = ("benign", "malignant")


def of_labels(tmp_path: Path) -> SliceStore:
    folder = draw(tmp_path / "own", BINARY, without=["mask"])
    return convert([folder], tmp_path / "s.h5", classes=BINARY, tasks=["classification"])


def of_masks(tmp_path: Path) -> SliceStore:
    folder = draw(tmp_path / "own", BINARY, without=["label"])
    return convert([folder], tmp_path / "s.h5", classes=BINARY, tasks=["segmentation"])


def test_a_table_without_masks_makes_slices_with_empty_ones(tmp_path: Path) -> None:
    store = of_labels(tmp_path)
    assert store.tasks == ("classification",)
    assert store.classes == BINARY
    assert (store.index["tumor_px"] == 0).all()
    image, mask = store.read(1)
    assert image.shape == mask.shape == (32, 32)
    assert not mask.any()


def test_a_table_without_labels_has_no_classes(tmp_path: Path) -> None:
    store = of_masks(tmp_path)
    assert store.tasks == ("segmentation",)
    assert store.classes == ()
    assert set(store.index["label"]) == {1}
    assert (store.index["tumor_px"] > 0).all()


@pytest.mark.parametrize("made", [of_labels, of_masks])
def test_such_a_set_is_audited_and_split(tmp_path: Path, made) -> None:
    store = made(tmp_path)
    found = audit(store)
    assert found.digest.verified
    assert (found.masks is None) == (made is of_labels)
    assert list(found.classes) == list(store.classes)
    (tmp_path / "audit.json").write_text(found.to_json())
    assert Audit.read(tmp_path / "audit.json") == found
    assert "!!" not in render(found)
    protocol = Protocol.from_values({"method": "family", "folds": 3, "seed": 1, "apart": "family"}, "protocol")
    report = SplitReport.of(make_split(store.index, protocol), protocol, store.digest, store.classes)
    assert report.folds[0].test.slices == 8


def test_a_column_that_no_task_needs_is_listed_as_not_read(tmp_path: Path) -> None:
    folder = draw(tmp_path / "own", BINARY)
    store = convert([folder], tmp_path / "s.h5", classes=BINARY, tasks=["classification"])
    assert not np.any([store.read(number)[1] for number in store.index["slice"]])
    assert "column 'mask' is not read" in [one.reason for one in store.ignored]


@pytest.mark.parametrize(
    ("column", "task"), [("mask", "classification"), ("label", "segmentation")], ids=["mask", "label"]
)
def test_a_missing_column_names_the_task_that_does_without(tmp_path: Path, column: str, task: str) -> None:
    folder = draw(tmp_path / "own", BINARY, without=[column])
    lacking = next(one for one in TASKS if one != task)
    for tasks in (TASKS, [lacking]):
        with pytest.raises(UserError, match=rf"lacks the column {column};.*set data\.tasks to \[{task}\]") as error:
            convert([folder], tmp_path / "s.h5", classes=BINARY, tasks=tasks)
        assert "\n" not in str(error.value)


def test_mat_files_have_both_tasks(tmp_path: Path) -> None:
    (tmp_path / "mat").mkdir()
    (tmp_path / "mat" / "1.mat").write_bytes(b"")
    with pytest.raises(UserError, match="classification alone is for tables"):
        convert([tmp_path / "mat"], tmp_path / "s.h5", tasks=["classification"])
    with pytest.raises(UserError, match="no task 'detection'"):
        convert([tmp_path / "mat"], tmp_path / "s.h5", tasks=["detection"])
