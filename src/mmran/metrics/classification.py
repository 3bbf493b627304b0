"""Metrics of the tumor class over a test set: pure functions of labels and probabilities.

Classes count from zero, as in tensors. A metric is NaN where the test set cannot define it because a class has no
slice in it; it is never zero and never raises.
"""

import math

import numpy as np
from numpy.typing import NDArray


def confusion_matrix(truth: NDArray[np.integer], predicted: NDArray[np.integer], n_classes: int) -> NDArray[np.int64]:
    """Count slices by true class (rows) and predicted class (columns).

    Args:
        truth: (N,) integer class ids, 0..n_classes-1.
        predicted: (N,) integer class ids.
        n_classes: how many classes exist.

    Returns:
        (n_classes, n_classes) int64.

    Raises:
        ValueError: the lengths differ or an id is out of range.
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape or truth.ndim != 1:
        raise ValueError(f"expected two (N,) arrays of one length, not {truth.shape} and {predicted.shape}")
    ids = np.concatenate([truth, predicted])
    if ids.size and (ids.min() < 0 or ids.max() >= n_classes):
        raise ValueError(f"class ids run from {ids.min()} to {ids.max()}, expected 0..{n_classes - 1}")
    cells = truth.astype(np.int64) * n_classes + predicted
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)


def accuracy(confusion: NDArray[np.int64]) -> float:
    """Share of slices whose predicted class is right; NaN without slices.

    Source: Eq. 20, read as correct / n.
    """
    total = int(confusion.sum())
    return int(np.trace(confusion)) / total if total else math.nan


def macro_recall(confusion: NDArray[np.int64]) -> float:
    """Mean over the classes of TP / (TP + FN); NaN where a class has no test slice.

    Source: Eq. 22, averaged over the classes.
    """
    per_class = [_ratio(confusion[i, i], confusion[i].sum(), math.nan) for i in range(len(confusion))]
    return sum(per_class) / len(per_class)


def macro_precision(confusion: NDArray[np.int64]) -> float:
    """Mean over the classes of TP / (TP + FP); NaN where a class has no test slice.

    A class that has test slices and is never predicted counts as 0.

    Source: Eq. 21, averaged over the classes.
    """
    if (confusion.sum(axis=1) == 0).any():
        return math.nan
    per_class = [_ratio(confusion[i, i], confusion[:, i].sum(), 0.0) for i in range(len(confusion))]
    return sum(per_class) / len(per_class)


def f1(confusion: NDArray[np.int64]) -> float:
    """Harmonic mean of macro precision and macro recall; 0 where both are 0, NaN where one is.

    Source: Eq. 23. This is not the mean of the classes' F1 that scikit-learn calls macro F1.
    """
    precision, recall = macro_precision(confusion), macro_recall(confusion)
    return _ratio(2 * precision * recall, precision + recall, 0.0)


def auc(positive: NDArray[np.bool_], score: NDArray[np.floating], fold: NDArray[np.integer] | None = None) -> float:
    """Area under the ROC curve: how often a positive outscores a negative, a tie counting half.

    Only pairs within one fold are compared: two folds are two networks, and an offset between their scores is not
    an error of either. Every such pair has the same weight.

    Args:
        positive: (N,) bool, True for slices of the class in question.
        score: (N,) float, any monotone score of that class.
        fold: (N,) integer, the fold that each slice is tested in; None where all scores are of one network.

    Returns:
        0..1, or NaN where no fold has both a positive and a negative.

    Raises:
        ValueError: a score is NaN, which has no rank.

    Source: Mann and Whitney 1947, by mean ranks; over strata as in van Elteren 1960, pairs weighted equally.
    """
    positive, score = np.asarray(positive, dtype=bool), np.asarray(score)
    if np.isnan(score).any():
        raise ValueError("a class probability is NaN: an area under the curve needs every score")
    if fold is None:
        fold = np.zeros(score.size, dtype=np.int64)
    parts = [_concordance(positive[fold == value], score[fold == value]) for value in np.unique(fold)]
    n_pairs = sum(pairs for _, pairs in parts)
    return sum(concordant for concordant, _ in parts) / n_pairs if n_pairs else math.nan


def _concordance(positive: NDArray[np.bool_], score: NDArray[np.floating]) -> tuple[float, int]:
    """Pairs in which the positive outscores the negative, ties counting half, and the number of all pairs."""
    n_positive = int(np.count_nonzero(positive))
    n_pairs = n_positive * (positive.size - n_positive)
    if not n_pairs:
        return 0.0, 0
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    # Ranks counted from one; equal scores share the mean of their ranks.
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = float(mean_rank[inverse][positive].sum())
    return rank_sum - n_positive * (n_positive + 1) / 2, n_pairs


def one_vs_rest_auc(
    truth: NDArray[np.integer], class_probability: NDArray[np.floating], fold: NDArray[np.integer] | None = None
) -> tuple[float, ...]:
    """AUC of each class against the others.

    Args:
        truth: (N,) integer class ids.
        class_probability: (N, n_classes) float.
        fold: (N,) integer, as for `auc`.

    Returns:
        One value per class, NaN for a class without test slices (or without slices of any other class).
    """
    return tuple(auc(truth == i, class_probability[:, i], fold) for i in range(class_probability.shape[1]))


def _ratio(numerator: float, denominator: float, undefined: float) -> float:
    return float(numerator) / float(denominator) if denominator else undefined
