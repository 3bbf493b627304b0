import json
import math

import numpy as np
import pytest

from mmran.config.provenance import stage_code
from mmran.data.store import SliceStore
from mmran.errors import UserError
from mmran.evaluation.predictions import read_predictions
from mmran.evaluation.summary import Summary
from mmran.files import sha256_file
from tests.unit.evaluation.conftest import certain, ring, solid


def test_a_missed_tumor_costs_the_diagonal_and_is_counted(run):
    cases, summary = run(
        (1, 7, 0, solid(), certain(1)),
        (2, 7, 0, np.zeros((8, 8)), certain(2)),
    )
    assert cases.query("variant == 'raw'")["missed"].tolist() == [0, 1]
    assert cases.query("variant == 'raw'")["hd95_mm"].tolist() == pytest.approx([0, math.hypot(8, 8)])
    assert summary["variants"]["raw"]["n_missed"] == 1
    assert summary["variants"]["raw"]["hd95_mm"] == pytest.approx(math.hypot(8, 8) / 2)


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


def test_the_summary_names_its_origins_and_binds_its_cases(run, tmp_path, store, split):
    _, summary = run((1, 7, 0, solid(), certain(1)))
    assert (summary["experiment"], summary["protocol"]) == ("mmran", "paper")
    with read_predictions(tmp_path / "p.h5") as predictions:
        assert summary["digests"] == {
            "spec": "1" * 64,
            "data": SliceStore(store).digest,
            "split": sha256_file(split),
            "predictions": predictions.content,
            "cases": sha256_file(tmp_path / "out/cases.csv"),
        }
    assert summary["code"] == stage_code("evaluate")
    assert "mmran.metrics.surface" in summary["code"]


def test_the_summary_follows_from_cases_csv_alone(run, tmp_path):
    cases, summary = run((1, 7, 0, ring(), certain(1)), (2, 7, 0, np.zeros((8, 8)), certain(1)))
    computed = Summary.of(cases, summary["digests"], summary["code"])
    assert Summary.read(tmp_path / "out/summary.json") == computed
    computed.write(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == summary


def test_each_seed_has_its_own_metrics(run):
    _, summary = run((1, 7, 0, solid(), certain(1)), (1, 8, 0, solid(), certain(2)), (2, 8, 1, solid(), certain(2)))
    found = [(part["seed"], part["fold"], part["n"], part["variants"]["raw"]["acc"]) for part in summary["seeds"]]
    assert found == [(7, None, 1, 1.0), (8, None, 2, 0.5)]


def test_empty_masks_and_masks_beside_the_tumor_are_counted_apart(run):
    beside = np.zeros((8, 8))
    beside[7, 7] = 1
    _, summary = run(
        (1, 7, 0, solid(), None),
        (2, 7, 0, np.zeros((8, 8)), None),
        (3, 7, 0, beside, None),
    )
    raw = summary["variants"]["raw"]
    assert (raw["n_missed"], raw["n_no_overlap"]) == (1, 1)
    # HD95: 0, the diagonal, and from (7, 7) to the border of the square at rows and columns 2 to 4. Of its 8 pixels
    # the farthest is (2, 2), then (2, 3) and (3, 2): position .95 * 7 = 6.65 between hypot(5, 4) and hypot(5, 5).
    far = math.hypot(5, 4) + 0.65 * (math.hypot(5, 5) - math.hypot(5, 4))
    assert raw["hd95_mm"] == pytest.approx((math.hypot(8, 8) + far) / 3)
    assert raw["hd95_median_mm"] == pytest.approx(far)
    assert raw["hd95_overlapping_mm"] == 0


def test_auc_compares_slices_of_one_fold_only(run):
    # Both folds rank their meningioma above their other slice, but fold 1's scores lie far below those of fold 0:
    # pooled, .3 against .6 would be a wrong pair, 3 of 4.
    _, summary = run(
        (1, 7, 0, None, np.array([0.9, 0.1, 0])),
        (2, 7, 0, None, np.array([0.6, 0.4, 0])),
        (3, 7, 1, None, np.array([0.2, 0.0, 0.8])),
        (4, 7, 1, None, np.array([0.1, 0.9, 0])),
        (1, 8, 0, None, np.array([0.9, 0.1, 0])),
        (2, 8, 0, None, np.array([0.6, 0.4, 0])),
    )
    assert summary["variants"]["raw"]["auc_meningioma"] == 1
    # Glioma in fold 0 .4 against .1, in fold 1 .9 against 0: within folds 1.
    assert summary["seeds"][0]["variants"]["raw"]["auc_glioma"] == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"dice": 0.9411764705882353', '"dice": 0.99', r"variants\.raw\.dice is 0\.99, but 0\.94\d+ follows"),
        ('"n": 1,', '"n": 7,', "n is 7, but 1 follows"),
        ('"experiment"', '"experimint"', "not a summary"),
        ('"acc"', '"accuracy"', "holds other names"),
        ('[\n    "glioma"', '[\n    "gliome"', "absent_classes.0 is gliome, but glioma"),
    ],
)
def test_an_edited_number_is_refused(run, tmp_path, old, new, message):
    run((1, 7, 0, ring(), certain(1)))
    path = tmp_path / "out/summary.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(UserError, match=rf"summary\.json: .*{message}"):
        Summary.read(path)


def test_edited_cases_are_refused(run, tmp_path):
    run((1, 7, 0, ring(), certain(1)))
    path = tmp_path / "out/cases.csv"
    path.write_text(path.read_text().replace("0.9411764705882353", "0.99"))
    with pytest.raises(UserError, match=r"summary\.json: not made from .*cases\.csv as it is now"):
        Summary.read(tmp_path / "out/summary.json")
