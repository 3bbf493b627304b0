import numpy as np
import pandas as pd
import pytest

from mmran.data.published import CLASSES
from mmran.evaluation.summary import Summary
from mmran.metrics.names import find_metric, metric_names
from mmran.statistics.estimators import Confusion, confusion_by_family, estimator, precisions, specificities
from mmran.statistics.rows import Families
from tests.unit.statistics.samples import cases, row

ALL_METRICS = metric_names(CLASSES)


def measured(frame: pd.DataFrame, metric: str) -> float | None:
    """The metric as `evaluate` works it out, which shares no code with the estimators."""
    return Summary.of(frame, {}, {}).variants["raw"][metric]


def estimated(frame: pd.DataFrame, metric: str, weights: np.ndarray) -> np.ndarray:
    families = Families.of(row(frame))
    return estimator(metric, frame, families.codes(frame), len(families))(weights)


@pytest.mark.parametrize("metric", ALL_METRICS)
def test_families_that_count_once_give_the_value_of_the_summary(metric):
    frame = cases(folds=3)
    found = estimated(frame, metric, np.ones((1, 30)))
    assert found == pytest.approx([measured(frame, metric)], abs=1e-12)


@pytest.mark.parametrize("metric", ALL_METRICS)
def test_weighted_families_give_the_value_of_slices_drawn_that_often(metric):
    frame = cases(folds=2)
    families = Families.of(row(frame))
    weights = families.resampled(4, seed=5)
    codes = families.codes(frame)
    for drawn, found in zip(weights, estimated(frame, metric, weights), strict=True):
        resample = frame.loc[np.repeat(frame.index, drawn[codes].astype(int))].reset_index(drop=True)
        expected = measured(resample, metric)
        if metric.startswith("n_"):  # a count is of as many slices as the test set has
            expected *= len(frame) / len(resample)
        assert found == pytest.approx(expected, abs=1e-9)


def test_a_network_without_the_task_has_no_estimator():
    frame = cases()
    families = Families.of(row(frame))
    of_classes = frame.assign(missed=pd.array([pd.NA] * len(frame), dtype="Int64"))
    of_masks = frame.assign(predicted=pd.array([pd.NA] * len(frame), dtype="Int64"))
    for metric in ALL_METRICS:
        properties = find_metric(metric)
        lacking = of_classes if properties.needs == "masks" else of_masks
        assert estimator(metric, lacking, families.codes(frame), 30) is None


def test_a_resample_that_lacks_a_class_leaves_its_metrics_undefined():
    frame = cases()
    weights = (Families.of(row(frame)).strata != 2).astype(float)[None]
    assert np.isnan(estimated(frame, "rec", weights)).all()
    assert np.isnan(estimated(frame, "auc_pituitary", weights)).all()
    assert np.isfinite(estimated(frame, "acc", weights)).all()


def test_precision_and_specificity_by_hand():
    # True class 0: 3 found, 1 called 1. True 1: 2 found, 2 called 0. True 2: 5 found.
    confusion = np.array([[[3, 1, 0], [2, 2, 0], [0, 0, 5]]], dtype=float)
    assert precisions(confusion)[0] == pytest.approx([3 / 5, 2 / 3, 1])
    assert specificities(confusion)[0] == pytest.approx([7 / 9, 8 / 9, 1])


def test_confusions_add_up_to_the_test_set():
    frame = cases()
    counts = confusion_by_family(frame, Families.of(row(frame)).codes(frame), 30)
    assert counts.sum() == len(frame)
    total = Confusion(counts, lambda confusion: confusion.sum(axis=(1, 2)))
    assert total(np.ones((1, 30))) == pytest.approx([len(frame)])
