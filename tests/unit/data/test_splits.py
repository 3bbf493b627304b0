"""Splits: the right counts, the same everywhere, nobody on two sides who should not be."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from mmran.data.convert import convert
from mmran.data.protocol import Protocol
from mmran.data.published import CLASSES
from mmran.data.split_report import SplitReport
from mmran.data.splits import check_split, make_split, read_split
from mmran.errors import UserError
from tests.unit.data.patients import index_of

PAPER = Protocol("slice", fractions=(0.8, 0.1, 0.1), seed=1029)
PATIENT = Protocol("family", apart="family", folds=5, seed=1029)
CVIND = Protocol("cvind", apart="pid")


def report_of(split: pd.DataFrame, protocol: Protocol = PAPER) -> SplitReport:
    return SplitReport.of(split, protocol, data="digest", classes=CLASSES)


@pytest.fixture
def published_size() -> pd.DataFrame:
    """As many slices of each class as the published set has, one patient each."""
    return index_of([("1", 1, 708), ("2", 2, 1426), ("3", 3, 930)])


@pytest.fixture
def cohort() -> pd.DataFrame:
    """Thirty families, ten of each class, some with repeat examinations."""
    patients = [(f"{100000 + 10 * i + label}", label, 2 + i) for i in range(10) for label in (1, 3)]
    for i in range(10):
        patients.append((f"MR{40000 + i:06d}", 2, 3))
        if i % 2:
            patients.append((f"MR{40000 + i:06d}B", 2, i))
    return index_of(patients)


def sizes(split: pd.DataFrame, fold: int = 0) -> list[int]:
    part = split[split["fold"] == fold]
    return [int((part["role"] == role).sum()) for role in ("train", "val", "test")]


def test_the_papers_split_has_2452_306_and_306_slices(published_size: pd.DataFrame) -> None:
    split = make_split(published_size, PAPER)
    assert sizes(split) == [2452, 306, 306]
    # A tenth of 708, 1426, 930 is 70.8, 142.6, 93: 306 in all, so that only the largest rest is rounded up.
    for role in ("val", "test"):
        assert split[split["role"] == role].groupby("label").size().tolist() == [71, 142, 93]


def test_the_papers_split_does_not_change_from_version_to_version(published_size: pd.DataFrame) -> None:
    split = make_split(published_size, PAPER).set_index("slice")["role"]
    # Of the meningiomas, those 71 test whose SHA-256 of "1029:<slice>" is lowest; the first of them by number.
    assert split.index[split == "test"][:5].tolist() == [7, 13, 27, 32, 38]


def test_without_stratification_the_counts_of_the_classes_are_left_to_chance(published_size: pd.DataFrame) -> None:
    split = make_split(published_size, replace(PAPER, stratify=False))
    assert sizes(split) == [2452, 306, 306]
    # Those 306 of all slices test whose SHA-256 of "1029:<slice>" is lowest.
    tests = split.loc[split["role"] == "test"]
    ranked = sorted(range(1, 3065), key=lambda n: hashlib.sha256(f"1029:{n}".encode()).digest())
    assert tests["slice"].tolist() == sorted(ranked[:306])
    assert tests.groupby("label").size().tolist() != [71, 142, 93]


def test_family_folds_without_stratification_balance_families_alone(cohort: pd.DataFrame) -> None:
    report = report_of(make_split(cohort, replace(PATIENT, stratify=False)))
    assert [fold.test.families for fold in report.folds] == [6] * 5
    assert len({fold.test.classes["glioma"] for fold in report.folds}) > 1


def test_another_seed_gives_another_split(published_size: pd.DataFrame) -> None:
    first, second = (make_split(published_size, replace(PAPER, seed=seed))["role"].tolist() for seed in (1, 2))
    assert first != second


def test_a_split_lists_every_slice_once_per_fold(cohort: pd.DataFrame) -> None:
    split = make_split(cohort, PATIENT)
    assert split.columns.tolist() == ["slice", "pid", "family", "label", "fold", "role"]
    for _, part in split.groupby("fold"):
        assert part["slice"].tolist() == cohort["slice"].tolist()


def test_every_slice_tests_once_and_validates_once_over_the_folds(cohort: pd.DataFrame) -> None:
    split = make_split(cohort, PATIENT)
    for role in ("test", "val"):
        assert sorted(split.loc[split["role"] == role, "slice"]) == cohort["slice"].tolist()


def test_validation_is_the_next_folds_test_part(cohort: pd.DataFrame) -> None:
    split = make_split(cohort, PATIENT)
    for fold in range(5):
        val = split[(split["fold"] == fold) & (split["role"] == "val")]["slice"]
        test = split[(split["fold"] == (fold + 1) % 5) & (split["role"] == "test")]["slice"]
        assert val.tolist() == test.tolist()


def test_the_first_folds_alone_are_the_first_folds_of_all(cohort: pd.DataFrame) -> None:
    few, every = make_split(cohort, replace(PATIENT, tested_folds=2)), make_split(cohort, PATIENT)
    pd.testing.assert_frame_equal(few, every[every["fold"] < 2])


def test_no_family_stands_on_two_sides_of_a_patient_split(cohort: pd.DataFrame) -> None:
    split = make_split(cohort, PATIENT)
    assert split.groupby(["fold", "family"])["role"].nunique().max() == 1


def test_patient_folds_are_balanced_in_families_and_slices(cohort: pd.DataFrame) -> None:
    report = report_of(make_split(cohort, PATIENT))
    # Ten families a class in five folds: two of each in every fold.
    assert [fold.test.families for fold in report.folds] == [6] * 5
    # Classes 1 and 3 have families of 2 to 11 slices, the k-th largest of which pairs with the k-th smallest: 13.
    for fold in report.folds:
        assert fold.test.classes["meningioma"] == fold.test.classes["pituitary"] == 13


def test_folds_do_not_depend_on_the_order_of_the_index(cohort: pd.DataFrame) -> None:
    shuffled = cohort.sample(frac=1, random_state=3)
    for protocol in (PATIENT, PAPER):
        pd.testing.assert_frame_equal(make_split(cohort, protocol), make_split(shuffled, protocol))


def test_published_folds_test_in_turn(cohort: pd.DataFrame) -> None:
    cvind = {number: 1 + i % 5 for i, number in enumerate(cohort["slice"])}
    split = make_split(cohort, Protocol("cvind"), cvind)
    for fold in range(5):
        part = split[split["fold"] == fold].set_index("slice")["role"]
        assert all((part[number] == "test") == (cvind[number] == fold + 1) for number in cvind)
        assert all((part[number] == "val") == (cvind[number] == (fold + 1) % 5 + 1) for number in cvind)


def test_published_folds_must_be_known_for_every_slice(cohort: pd.DataFrame) -> None:
    cvind = dict.fromkeys(cohort["slice"][:-2], 1)
    with pytest.raises(UserError, match=f"no published fold for 2 of {len(cohort)} slices; convert again"):
        make_split(cohort, CVIND, cvind)


def test_patients_per_class_keeps_so_many_families(cohort: pd.DataFrame) -> None:
    few = make_split(cohort, replace(PATIENT, patients_per_class=5))
    more = make_split(cohort, replace(PATIENT, patients_per_class=7))
    assert few.groupby("label")["family"].nunique().tolist() == [5, 5, 5]
    assert set(few["family"]) < set(more["family"])


def test_every_protocol_keeps_the_same_patients(cohort: pd.DataFrame) -> None:
    by_slice = make_split(cohort, replace(PAPER, patients_per_class=5, seed=1))
    by_family = make_split(cohort, replace(PATIENT, patients_per_class=5, seed=2))
    assert set(by_slice["family"]) == set(by_family["family"])


def test_a_small_published_split_still_has_all_sides(cohort: pd.DataFrame) -> None:
    split = make_split(cohort, replace(PAPER, patients_per_class=2))
    assert min(sizes(split)) > 0


def test_a_family_on_two_sides_is_named_with_the_sides() -> None:
    index = index_of([("MR040240", 2, 1), ("MR040240B", 2, 1), ("100360", 1, 1)])
    split = index.assign(fold=0, role=["train", "test", "val"])
    check_split(split, "none")
    check_split(split, "pid")
    with pytest.raises(UserError, match=r"family MR040240 \(MR040240, MR040240B\) is in train and test of fold 0"):
        check_split(split, "family")


def test_a_protocol_that_promises_apart_fails_if_it_cannot_keep_it(cohort: pd.DataFrame) -> None:
    with pytest.raises(UserError, match="promises apart: family"):
        make_split(cohort, replace(PAPER, apart="family"))


def test_a_number_of_folds_that_is_not_there_is_an_error(cohort: pd.DataFrame) -> None:
    cvind = {number: 1 + i % 5 for i, number in enumerate(cohort["slice"])}
    with pytest.raises(UserError, match="folds 4, but method cvind gives 5 here"):
        make_split(cohort, Protocol("cvind", folds=4), cvind)


def test_an_empty_side_is_an_error() -> None:
    index = index_of([("1", 1, 2), ("2", 2, 2)])
    with pytest.raises(UserError, match="fold 0 has no val slices; use more patients or fewer folds"):
        make_split(index, PAPER)


def test_a_written_split_reads_back_as_it_was(cohort: pd.DataFrame, tmp_path: Path) -> None:
    split = make_split(cohort, PATIENT)
    split.to_csv(tmp_path / "split.csv", index=False)
    pd.testing.assert_frame_equal(read_split(tmp_path / "split.csv"), split)


def test_a_csv_of_ones_own_needs_slice_fold_and_role_only(cohort: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("slice,fold,role\n1,0,train\n40,0,val\n80,0,test\n")
    split = make_split(cohort, Protocol("file", apart="family", path=str(path)))
    assert split["slice"].tolist() == [1, 40, 80]
    assert split["pid"].tolist() == cohort["pid"][[0, 39, 79]].tolist()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("slice,fold\n1,0\n", "column role is missing, expected slice, fold, role"),
        ("slice,fold,role\n1,0,training\n", "role 'training', expected train, val, test"),
        ("slice,fold,role\nfirst,0,train\n", "slice, fold must be whole numbers"),
        ("slice,fold,role\n", "lists no slices"),
        ("", "is not a split"),
        ("slice,fold,role\n1,0,train\n1,0,test\n", "fold 0 lists slice 1 twice"),
        ("slice,fold,role\n1,0,train\n2,1,test\n", "fold 0 does not list slice 2, which another fold lists"),
        ("slice,fold,role\n1,1,train\n", r"folds are \[1\], expected 0, 1, 2"),
        ("slice,fold,role\n999,0,train\n", "slice 999 is not in the store"),
        ("slice,fold,role\n1,0,train\n2,0,test\n", "fold 0 has no val slices"),
    ],
)
def test_a_wrong_csv_is_named_with_its_fault(cohort: pd.DataFrame, tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "own.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=reason):
        make_split(cohort, Protocol("file", path=str(path)))


def test_an_absent_split_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"split\.csv: no such split; make it with mmran split"):
        read_split(tmp_path / "split.csv")


def test_a_binary_file_is_no_split(tmp_path: Path) -> None:
    (tmp_path / "split.csv").write_bytes(b"\x89HDF\r\n\x1a\n\xff\xfe" * 20)
    with pytest.raises(UserError, match=r"split\.csv: "):
        read_split(tmp_path / "split.csv")


@pytest.mark.real
def test_published_folds_keep_real_patients_apart_but_not_families(real_full_sample: Path, tmp_path: Path) -> None:
    store = convert([real_full_sample], tmp_path / "slices.h5")
    report = report_of(make_split(store.index, CVIND, store.cvind))
    assert report.siblings.same_pid == 0
    paper = report_of(make_split(store.index, PAPER))
    assert paper.siblings.same_pid > 0.5
