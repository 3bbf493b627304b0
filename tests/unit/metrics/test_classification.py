import math

import numpy as np
import pytest

from mmran.metrics.classification import (
    accuracy,
    auc,
    confusion_matrix,
    f1,
    macro_precision,
    macro_recall,
    one_vs_rest_auc,
)

# True class by row, predicted by column: 4 + 5 + 6 of 20 right.
CONFUSION = np.array(
    [
        [4, 1, 0],
        [2, 5, 1],
        [0, 1, 6],
    ]
)


def test_confusion_counts_true_class_by_row_and_predicted_by_column():
    truth = np.array([0, 0, 1, 2, 2, 2])
    predicted = np.array([0, 1, 1, 2, 0, 2])
    assert confusion_matrix(truth, predicted, 3).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 2]]


def test_accuracy_is_the_share_that_is_right():
    assert accuracy(CONFUSION) == pytest.approx(15 / 20)


def test_macro_recall_averages_the_classes():
    assert macro_recall(CONFUSION) == pytest.approx((4 / 5 + 5 / 8 + 6 / 7) / 3)


def test_macro_precision_averages_the_classes():
    assert macro_precision(CONFUSION) == pytest.approx((4 / 6 + 5 / 7 + 6 / 7) / 3)


def test_f1_is_the_harmonic_mean_of_the_two_averages():
    recall, precision = (4 / 5 + 5 / 8 + 6 / 7) / 3, (4 / 6 + 5 / 7 + 6 / 7) / 3
    assert f1(CONFUSION) == pytest.approx(2 * precision * recall / (precision + recall))


def test_the_papers_own_recall_and_precision_give_its_f1():
    # Table 5, MMRAN: recall 90.44, precision 88.56, F1 89.49 (Eq. 23).
    assert pytest.approx(89.49, abs=0.005) == 2 * 90.44 * 88.56 / (90.44 + 88.56)


def test_a_class_that_is_never_predicted_has_precision_zero():
    confusion = np.array([[3, 0, 0], [0, 4, 0], [1, 1, 0]])
    assert macro_precision(confusion) == pytest.approx((3 / 4 + 4 / 5 + 0) / 3)
    assert macro_recall(confusion) == pytest.approx((1 + 1 + 0) / 3)


def test_nothing_right_is_zero_and_not_undefined():
    confusion = np.array([[0, 2, 0], [0, 0, 2], [2, 0, 0]])
    assert (accuracy(confusion), f1(confusion)) == (0.0, 0.0)


def test_a_class_without_a_test_slice_leaves_the_averages_undefined_and_accuracy_defined():
    confusion = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    assert accuracy(confusion) == pytest.approx(7 / 8)
    assert all(math.isnan(metric(confusion)) for metric in (macro_recall, macro_precision, f1))


def test_no_slices_at_all_are_undefined():
    nothing = confusion_matrix(np.array([], dtype=int), np.array([], dtype=int), 3)
    assert all(math.isnan(metric(nothing)) for metric in (accuracy, macro_recall, macro_precision, f1))


def test_auc_counts_how_often_a_positive_outscores_a_negative():
    # Positives .9 and .4, negatives .5, .3, .1: .9 beats 3, .4 beats 2, of 6 pairs.
    positive = np.array([True, False, True, False, False])
    assert auc(positive, np.array([0.9, 0.5, 0.4, 0.3, 0.1])) == pytest.approx(5 / 6)


def test_auc_counts_a_tie_as_half():
    # .5 against .5 (half) and .2 (one); .2 against .5 (none) and .2 (half): 2 of 4.
    positive = np.array([True, True, False, False])
    assert auc(positive, np.array([0.5, 0.2, 0.5, 0.2])) == pytest.approx(0.5)


def test_auc_of_perfect_reversed_and_constant_scores():
    positive = np.array([True, True, False])
    assert auc(positive, np.array([3.0, 2.0, 1.0])) == 1.0
    assert auc(positive, np.array([1.0, 2.0, 3.0])) == 0.0
    assert auc(positive, np.array([7.0, 7.0, 7.0])) == 0.5


def test_auc_of_one_class_alone_is_undefined():
    assert math.isnan(auc(np.array([True, True]), np.array([0.1, 0.2])))
    assert math.isnan(auc(np.array([False, False]), np.array([0.1, 0.2])))


def test_auc_refuses_a_score_without_rank():
    with pytest.raises(ValueError, match="NaN"):
        auc(np.array([True, False]), np.array([0.1, np.nan]))


def test_each_class_is_ranked_against_the_rest_and_a_missing_one_is_undefined():
    truth = np.array([0, 0, 1])
    probability = np.array([[0.8, 0.1, 0.1], [0.3, 0.5, 0.2], [0.4, 0.2, 0.4]])
    # Class 0: .8 and .3 against .4: one of two. Class 1: .2 against .1 and .5: one of two. Class 2: no slice.
    first, second, third = one_vs_rest_auc(truth, probability)
    assert (first, second) == (0.5, 0.5)
    assert math.isnan(third)


def test_wrong_ids_are_refused():
    with pytest.raises(ValueError, match=r"expected 0\.\.2"):
        confusion_matrix(np.array([1, 2, 3]), np.array([0, 1, 2]), 3)
    with pytest.raises(ValueError, match="one length"):
        confusion_matrix(np.array([1, 2]), np.array([1]), 3)
