import itertools

import numpy as np
import pytest

from mmran.data.published import CLASSES
from mmran.data.store import SliceStore
from mmran.evaluation.evaluate import evaluate
from mmran.evaluation.prediction_writer import PredictionWriter
from mmran.evaluation.predictions import class_columns
from mmran.files import sha256_file, write_json
from mmran.metrics import classification
from mmran.report.figures.roc import class_auc, free_square, mean_curve, roc_curve
from tests.unit.report.evaluated import ROWS, draw, read


def area(curve) -> float:
    return float(np.trapezoid(curve[1], curve[0]))


def test_a_roc_curve_steps_right_for_a_negative_and_up_for_a_positive():
    positive = np.array([True, False, True, False])
    x, y = roc_curve(positive, np.array([0.9, 0.8, 0.7, 0.1]))
    assert x.tolist() == [0, 0, 0.5, 0.5, 1]
    assert y.tolist() == [0, 0.5, 0.5, 1, 1]
    # a tie of one positive and one negative is one step to both sides
    x, y = roc_curve(positive, np.array([0.9, 0.8, 0.8, 0.1]))
    assert list(zip(x.tolist(), y.tolist(), strict=True)) == [(0, 0), (0, 0.5), (0.5, 1), (1, 1)]


def test_the_area_below_a_roc_curve_is_the_auc_of_the_tables_ties_included():
    random = np.random.default_rng(1)
    for _ in range(20):
        positive, score = random.random(40) < 0.4, random.integers(0, 9, 40) / 8
        assert area(roc_curve(positive, score)) == pytest.approx(classification.auc(positive, score), abs=1e-12)


def test_the_mean_of_two_curves_has_the_mean_of_their_areas():
    diagonal = (np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    perfect = (np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0]))
    x, y = mean_curve([diagonal, perfect])
    # at rate 0 the diagonal stays at 0 and the perfect curve rises to 1: from 0 to a half; at rate 1 both are at 1
    assert list(zip(x.tolist(), y.tolist(), strict=True)) == [(0, 0), (0, 0.5), (1, 1), (1, 1)]
    random = np.random.default_rng(2)
    curves = [roc_curve(random.random(30) < 0.5, random.integers(0, 12, 30)) for _ in range(3)]
    assert area(mean_curve(curves)) == pytest.approx(np.mean([area(curve) for curve in curves]), abs=1e-12)


def test_the_auc_in_the_legend_is_the_one_of_the_summary_over_seeds(results):
    rows = read(results, ROWS[1:])
    for row, (k, column) in itertools.product(rows, enumerate(class_columns(CLASSES))):
        of_seeds = [classification.auc((one["label"] == k + 1).to_numpy(), one[column]) for one in row.classified()]
        assert len(of_seeds) == 2
        assert class_auc(row, k) == pytest.approx(np.mean(of_seeds), abs=1e-12)


@pytest.mark.slow
def test_a_class_missing_from_the_test_set_is_said_and_does_not_crash(results, tmp_path):
    with SliceStore(results / "data" / "slices.h5") as store:
        spec = tmp_path / "specs" / "experiments" / "few.json"
        write_json(spec, {})
        folder = tmp_path / "experiments" / "few" / "paper"
        split = results / "splits" / "paper.csv"
        digests = {"spec": sha256_file(spec), "data": store.digest, "split": sha256_file(split)}
        with PredictionWriter(folder / "predictions.h5", "few", "paper", digests) as writer:
            for number in store.index.loc[store.index["label"] != 1, "slice"]:
                writer.add(number, 7, 0, None, np.array([0.2, 0.5, 0.3]))
    store_path = results / "data" / "slices.h5"
    evaluate(folder / "predictions.h5", store_path, split, folder / "cases.csv", folder / "summary.json")
    (tmp_path / "data").symlink_to(results / "data")
    rows = [{"label": "Few", "experiment": "few"}]
    caption = draw(tmp_path, tmp_path / "out", "roc", rows)
    assert "No test slice is of class meningioma: its curve and AUC are not defined." in caption
    assert "No test slice of class meningioma, so no share of it." in draw(
        tmp_path, tmp_path / "out", "confusion", rows
    )


def test_an_inset_covers_no_curve_and_a_poor_curve_makes_it_smaller_or_none():
    corner = (np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0]))
    left, bottom, width, height = free_square([corner])
    # the diagonal alone limits it: .99 - side >= .1 + side + .08, so side <= .405
    assert (left, bottom, width, height) == pytest.approx((0.59, 0.1, 0.4, 0.4))
    # at rate .6 this curve has reached .6 * .9 = .54; it leaves less room than the diagonal does
    low = (np.array([0.0, 1.0]), np.array([0.0, 0.9]))
    assert free_square([corner, low])[2] < 0.4
    useless = (np.array([0.0, 0.9, 1.0]), np.array([0.0, 0.0, 1.0]))
    assert free_square([corner, useless]) is None


def test_no_point_of_any_curve_lies_in_the_inset():
    random = np.random.default_rng(3)
    found = 0
    for _ in range(200):
        positive = random.random(60) < 0.4
        curves = [roc_curve(positive, random.normal(shift * positive)) for shift in random.uniform(-0.5, 3, 4)]
        if (square := free_square(curves)) is None:
            continue
        found += 1
        left, bottom, width, height = square
        for x, y in curves:
            # points along the steps, closer together than any step of the inset's side
            along = np.linspace(0, len(x) - 1, 2000)
            xs, ys = np.interp(along, np.arange(len(x)), x), np.interp(along, np.arange(len(y)), y)
            inside = (xs > left) & (xs < left + width) & (ys > bottom) & (ys < bottom + height)
            assert not inside.any()
    assert found > 20
