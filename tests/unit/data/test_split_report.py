"""The report of a split: how much the test slices have in common with training."""

from pathlib import Path

import pandas as pd
import pytest

from mmran.data.protocol import Protocol
from mmran.data.published import CLASSES
from mmran.data.split_report import RoleCount, Siblings, SplitReport
from mmran.errors import UserError
from tests.unit.data.patients import index_of

PAPER = Protocol("slice", fractions=(0.8, 0.1, 0.1), seed=1029)


def report_of(split: pd.DataFrame) -> SplitReport:
    return SplitReport.of(split, PAPER, data="digest", classes=CLASSES)


def test_the_report_gives_the_share_of_test_slices_with_siblings_in_training() -> None:
    index = index_of([("MR000001", 2, 3), ("MR000001B", 2, 1), ("100360", 1, 2), ("100361", 1, 1)])
    roles = ["train", "test", "test", "test", "train", "val", "test"]
    report = report_of(index.assign(fold=0, role=roles))
    # Of four test slices, two are of a patient and three of a family that trains.
    assert report.siblings == Siblings(same_pid=0.5, same_family=0.75)
    assert report.patients_on_two_sides == ("100360", "MR000001")
    assert report.families_on_two_sides == ("100360", "MR000001")
    assert report.folds[0].test == RoleCount(
        slices=4, classes={"meningioma": 1, "glioma": 3, "pituitary": 0}, patients=3, families=2
    )


def test_siblings_are_pooled_over_the_test_slices_of_all_folds() -> None:
    index = index_of([("1", 1, 2), ("2", 2, 2)])
    first = index.assign(fold=0, role=["train", "test", "train", "val"])
    second = index.assign(fold=1, role=["test", "test", "train", "test"])
    report = report_of(pd.concat([first, second]))
    assert [fold.siblings.same_pid for fold in report.folds] == [1.0, pytest.approx(1 / 3)]
    assert report.siblings.same_pid == 0.5  # two of four


def test_a_report_reads_back_as_it_was_written(tmp_path: Path) -> None:
    index = index_of([("1", 1, 2), ("2", 2, 2)])
    report = report_of(index.assign(fold=0, role=["train", "test", "train", "val"]))
    path = tmp_path / "split.json"
    path.write_text(report.to_json())
    assert SplitReport.read(path) == report


def test_another_json_is_no_report(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    path.write_text('{"slices": 3}')
    with pytest.raises(UserError, match=r"split\.json: not the report of a split .*; run mmran split again"):
        SplitReport.read(path)
