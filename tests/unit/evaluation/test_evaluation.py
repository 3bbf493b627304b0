import json
import math
from argparse import ArgumentParser

import numpy as np
import pandas as pd
import pytest

from mmran.cli.results import VERBS
from mmran.data.cheng import Slice, write_slice
from mmran.data.convert import convert
from mmran.data.store import SliceStore
from mmran.errors import UserError
from mmran.evaluation.evaluate import COLUMNS, evaluate, read_cases, summarize
from mmran.evaluation.predictions import PredictionWriter
from mmran.files import sha256_file

# Eight columns of 1 mm: with this field of view the spacing of the 8 x 8 slices is 1 mm, of the 4 x 4 one 2 mm.
FIELD_OF_VIEW_MM = 8.0
LABELS = {1: 1, 2: 2, 3: 3, 4: 2}


def ring() -> np.ndarray:
    """A 3 x 3 ring of 8 pixels around the hole (3, 3)."""
    mask = np.zeros((8, 8), dtype=np.float32)
    mask[2:5, 2:5] = 1
    mask[3, 3] = 0
    return mask


def solid() -> np.ndarray:
    mask = ring()
    mask[3, 3] = 1
    return mask


@pytest.fixture
def store(tmp_path):
    """Slices 1, 2, 3 of 8 x 8 with a solid 3 x 3 tumor, slice 4 of 4 x 4 with one pixel."""
    folder = tmp_path / "mat"
    folder.mkdir()
    small = np.zeros((4, 4), dtype=np.uint8)
    small[1, 1] = 1
    for number, label in LABELS.items():
        mask = small if number == 4 else solid().astype(np.uint8)
        image = np.arange(mask.size, dtype=np.int16).reshape(mask.shape)
        border = np.array([[1.0, 1.0], [2.0, 2.0]])
        write_slice(folder, Slice(number, label, f"10{number}A", image, mask, border))
    path = tmp_path / "data" / "slices.h5"
    convert([folder], path, field_of_view_mm=FIELD_OF_VIEW_MM)
    return path


def certain(label: int) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[label - 1]


def predict(path, store, cases, digests=None):
    """Write predictions of (slice, seed, fold, mask, class probabilities)."""
    digests = digests or {"spec": "1" * 64, "data": SliceStore(store).digest, "split": "2" * 64}
    with PredictionWriter(path, "mmran", "paper", digests) as writer:
        for case in cases:
            writer.add(*case)


@pytest.fixture
def run(tmp_path, store):
    """Evaluate predictions; return cases and summary as they stand in the files."""

    def run(*cases) -> tuple[pd.DataFrame, dict]:
        predict(tmp_path / "p.h5", store, cases)
        evaluate(tmp_path / "p.h5", store, tmp_path / "out/cases.csv", tmp_path / "out/summary.json")
        return read_cases(tmp_path / "out/cases.csv"), json.loads((tmp_path / "out/summary.json").read_text())

    return run


def test_every_case_has_a_raw_and_a_filled_row_with_the_agreed_columns(run):
    cases, _ = run((1, 7, 0, ring(), certain(1)), (4, 7, 0, np.eye(4), certain(2)))
    assert tuple(cases.columns) == COLUMNS
    assert cases[["slice", "variant"]].to_numpy().tolist() == [[1, "raw"], [1, "pkp"], [4, "raw"], [4, "pkp"]]
    assert cases.loc[0, ["experiment", "protocol", "seed", "fold", "pid", "family", "label"]].tolist() == [
        *("mmran", "paper", 7, 0, "101A", "101", 1)
    ]


def test_a_filled_hole_changes_the_mask_metrics_and_nothing_else(run):
    cases, summary = run((1, 7, 0, ring(), certain(1)))
    raw, pkp = cases.iloc[0], cases.iloc[1]
    # Ring of 8 in a square of 9: Dice 16 / 17, IoU 8 / 9; background 55 of 64: IoU 55 / 56.
    assert raw["dice"] == pytest.approx(16 / 17)
    assert (raw["iou_tumor"], raw["iou_background"]) == pytest.approx((8 / 9, 55 / 56))
    assert (raw["recall_tumor"], raw["recall_background"]) == pytest.approx((8 / 9, 1))
    assert pkp[["dice", "iou_tumor", "iou_background", "recall_tumor"]].tolist() == [1, 1, 1, 1]
    unchanged = ["soft_dice", "hd95_mm", "missed", "p_meningioma", "p_glioma", "p_pituitary", "predicted"]
    assert raw[unchanged].tolist() == pkp[unchanged].tolist()
    assert summary["variants"]["raw"]["dice"] == pytest.approx(16 / 17)
    assert summary["variants"]["pkp"]["dice"] == 1
    assert summary["variants"]["raw"]["miou"] == pytest.approx((8 / 9 + 55 / 56) / 2)
    assert summary["variants"]["raw"]["mpa"] == pytest.approx((8 / 9 + 1) / 2)


def test_distances_use_each_slices_own_spacing(run):
    # One pixel, predicted one column beside it: 1 pixel = 2 mm in the 4 x 4 slice.
    beside = np.zeros((4, 4))
    beside[1, 2] = 1
    cases, _ = run((4, 7, 0, beside, certain(2)))
    assert cases["hd95_mm"].tolist() == [2.0, 2.0]


def test_a_missed_tumor_costs_the_diagonal_and_is_counted(run):
    cases, summary = run(
        (1, 7, 0, solid(), certain(1)),
        (2, 7, 0, np.zeros((8, 8)), certain(2)),
    )
    assert cases.query("variant == 'raw'")["missed"].tolist() == [0, 1]
    assert cases.query("variant == 'raw'")["hd95_mm"].tolist() == pytest.approx([0, math.hypot(8, 8)])
    assert summary["variants"]["raw"]["n_missed"] == 1
    assert summary["variants"]["raw"]["hd95_mm"] == pytest.approx(math.hypot(8, 8) / 2)


def test_a_probability_of_one_half_is_tumor(run):
    cases, _ = run((1, 7, 0, solid() * 0.5, certain(1)))
    assert cases["dice"].tolist() == [1, 1]


def test_the_class_is_the_most_probable_one_counted_from_one(run):
    cases, _ = run((3, 7, 0, solid(), np.array([0.1, 0.2, 0.7])), (1, 7, 0, solid(), np.array([0.2, 0.5, 0.3])))
    assert cases.query("variant == 'raw'")["predicted"].tolist() == [2, 3]


def test_class_metrics_of_the_summary_are_over_the_test_slices(run):
    # Slices 1 (class 1) and 3 (class 3) right; 2 right, 4 taken for a meningioma: 3 of 4.
    _, summary = run(
        (1, 7, 0, solid(), certain(1)),
        (2, 7, 0, solid(), certain(2)),
        (3, 7, 0, solid(), certain(3)),
        (4, 7, 0, np.eye(4), certain(1)),
    )
    raw = summary["variants"]["raw"]
    assert (summary["n"], summary["absent_classes"]) == (4, [])
    assert raw["acc"] == pytest.approx(3 / 4)
    assert raw["rec"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert raw["pre"] == pytest.approx((1 / 2 + 1 + 1) / 3)
    # Both are 5/6, so their harmonic mean is too.
    assert raw["f1"] == pytest.approx(5 / 6)
    # Glioma: scores 1 and 0 against 0 and 0: two wins and two ties of four pairs.
    assert raw["auc_glioma"] == pytest.approx(3 / 4)
    # Meningioma: 1 against 0, 0 and a tie with the slice taken for one.
    assert raw["auc_meningioma"] == pytest.approx(2.5 / 3)
    assert raw["auc_macro"] == pytest.approx((3 / 4 + 2.5 / 3 + 1) / 3)
    assert summary["variants"]["pkp"]["acc"] == raw["acc"]


def test_a_class_without_a_test_slice_is_said_and_leaves_its_metrics_empty(run):
    _, summary = run((1, 7, 0, solid(), certain(1)), (2, 7, 0, solid(), certain(2)))
    raw = summary["variants"]["raw"]
    assert summary["absent_classes"] == ["pituitary"]
    assert raw["acc"] == 1
    assert [raw[name] for name in ("rec", "pre", "f1", "auc_pituitary", "auc_macro")] == [None] * 5
    assert raw["auc_glioma"] == 1


def test_a_network_without_classes_has_empty_class_columns(run):
    cases, summary = run((1, 7, 0, ring(), None))
    assert cases[["p_meningioma", "p_glioma", "p_pituitary", "predicted"]].isna().all(axis=None)
    raw = summary["variants"]["raw"]
    assert raw["dice"] == pytest.approx(16 / 17)
    assert [raw[name] for name in ("acc", "rec", "pre", "f1", "auc_macro")] == [None] * 5


def test_a_network_without_masks_has_the_raw_variant_and_empty_mask_columns(run):
    cases, summary = run((1, 7, 0, None, certain(1)), (2, 7, 0, None, certain(1)))
    assert cases["variant"].tolist() == ["raw", "raw"]
    assert cases[["dice", "soft_dice", "hd95_mm", "missed", "recall_tumor"]].isna().all(axis=None)
    assert list(summary["variants"]) == ["raw"]
    raw = summary["variants"]["raw"]
    assert raw["acc"] == pytest.approx(1 / 2)
    assert [raw[name] for name in ("dice", "soft_dice", "hd95_mm", "n_missed", "miou", "mpa")] == [None] * 6


def test_folds_are_pooled_within_a_seed_and_seeds_are_averaged(run):
    # Seed 7: 3 slices, 2 right, in folds of 2 and 1: pooled 2/3, where the folds' mean would be 3/4. Seed 8: 1 right
    # of 1. Mean over seeds 5/6, where pooling everything would give 3/4.
    _, summary = run(
        (1, 7, 0, solid(), certain(1)),
        (2, 7, 0, solid(), certain(1)),
        (3, 7, 1, solid(), certain(3)),
        (1, 8, 0, solid(), certain(1)),
    )
    assert summary["variants"]["raw"]["acc"] == pytest.approx(5 / 6)
    assert summary["n"] == 3
    trials = [(t["seed"], t["fold"], t["n"], t["variants"]["raw"]["acc"]) for t in summary["trials"]]
    assert trials == [(7, 0, 2, 1 / 2), (7, 1, 1, 1.0), (8, 0, 1, 1.0)]


def test_missed_tumors_are_counted_per_seed(run):
    nothing = np.zeros((8, 8))
    _, summary = run((1, 7, 0, nothing, certain(1)), (2, 7, 0, nothing, certain(2)), (1, 8, 0, nothing, certain(1)))
    assert summary["variants"]["raw"]["n_missed"] == pytest.approx(1.5)


def test_the_summary_names_its_origins_and_binds_its_cases(run, tmp_path, store):
    _, summary = run((1, 7, 0, solid(), certain(1)))
    assert (summary["experiment"], summary["protocol"]) == ("mmran", "paper")
    assert summary["digests"] == {
        "spec": "1" * 64,
        "data": SliceStore(store).digest,
        "split": "2" * 64,
        "cases": sha256_file(tmp_path / "out/cases.csv"),
    }


def test_cases_that_are_absent_or_lack_a_column_are_named(tmp_path):
    with pytest.raises(UserError, match=r"cases\.csv: no such file"):
        read_cases(tmp_path / "cases.csv")
    (tmp_path / "cases.csv").write_text("experiment,protocol\nmmran,paper\n")
    with pytest.raises(UserError, match=r"cases\.csv: lacks the column seed"):
        read_cases(tmp_path / "cases.csv")


def test_the_summary_follows_from_cases_csv_alone(run):
    cases, summary = run((1, 7, 0, ring(), certain(1)), (2, 7, 0, np.zeros((8, 8)), certain(1)))
    assert summarize(cases, summary["digests"]) == summary


def test_the_same_predictions_give_the_same_files(run, tmp_path):
    texts = []
    for _ in range(2):
        run((1, 7, 0, ring(), certain(1)), (4, 7, 0, np.eye(4) * 0.7, certain(2)))
        texts.append([(tmp_path / "out" / name).read_text() for name in ("cases.csv", "summary.json")])
    assert texts[0] == texts[1]


def test_the_verb_says_what_it_measured_and_which_class_no_slice_has(tmp_path, store, capsys):
    predict(tmp_path / "p.h5", store, [(1, 7, 0, ring(), certain(1)), (2, 7, 0, solid(), certain(2))])
    verb = next(verb for verb in VERBS if verb.name == "evaluate")
    parser = ArgumentParser()
    verb.arguments(parser)
    files = ["--store", store, "--cases", tmp_path / "cases.csv", "--summary", tmp_path / "summary.json"]
    verb.run(parser.parse_args([str(argument) for argument in [tmp_path / "p.h5", *files]]))
    # Dice of 16/17 and 1.
    assert capsys.readouterr().out.splitlines() == [
        "mmran, protocol paper, 2 test slices",
        "  raw  dice 0.9706  hd95_mm 0  n_missed 0  acc 1",
        "  pkp  dice 1  hd95_mm 0  n_missed 0  acc 1",
        "  no test slice is a pituitary tumor: recall, precision, F1 and that AUC are not defined",
    ]


def test_predictions_of_another_store_are_refused(tmp_path, store):
    digests = {"spec": "1" * 64, "data": "e" * 64, "split": "2" * 64}
    predict(tmp_path / "p.h5", store, [(1, 7, 0, solid(), certain(1))], digests)
    with pytest.raises(UserError, match=r"p\.h5: predicted from slices with digest eeeeeeeeeeee, but .*slices\.h5"):
        evaluate(tmp_path / "p.h5", store, tmp_path / "cases.csv", tmp_path / "summary.json")
    assert not (tmp_path / "cases.csv").exists()


def test_a_slice_that_the_store_lacks_and_a_wrong_size_are_refused(run):
    with pytest.raises(UserError, match="slice 99 is not in"):
        run((99, 7, 0, solid(), certain(1)))
    with pytest.raises(UserError, match="slice 4 was predicted at"):
        run((4, 7, 0, solid(), certain(1)))
