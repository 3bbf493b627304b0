"""Every metric of a test set as a function of how often each patient family counts.

`estimator(metric, cases, family, n_families)` returns a function of weights (B, F) to values (B,). Weights of one give
the value in summary.json; bootstrap weights give its distribution; leaving a family out gives its influence.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmran.evaluation.predictions import class_columns, classes_of
from mmran.metrics.custom import needs_of
from mmran.metrics.released import SCORE_DECIMALS

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Estimator = Callable[[Floats], Floats]
MEANS = (
    *("dice", "soft_dice", "miou", "mpa", "hd95_mm", "assd_mm", "nsd_2mm", "acc"),
    *("dice_released", "miou_released", "mpa_released"),
)
"""Metrics that are the mean of a value of each slice."""


def estimator(metric: str, cases: pd.DataFrame, family: Codes, n_families: int) -> Estimator | None:
    """The estimator of a metric.

    Args:
        metric: a name that `mmran.metrics.find_metric` knows, or of a custom metric.
        cases: one row per slice, of one seed and variant.
        family: (N,) family of each slice, 0..F-1.
        n_families: F.

    Returns:
        A function of weights (B, F) float64 to values (B,) float64, NaN where the weights leave the metric undefined;
        or None where the network lacks the task.
    """
    task = "missed" if needs_of(metric) == "masks" else "predicted"
    if cases[task].isna().any():
        return None
    if metric.startswith("auc_"):
        return _auc(metric, cases, family, n_families)
    if metric in CONFUSION_READERS:
        return Confusion(confusion_by_family(cases, family, n_families), CONFUSION_READERS[metric])
    if metric == "hd95_median_mm":
        return Median.of(cases["hd95_mm"].to_numpy(dtype=np.float64), family)
    numerator, denominator = _ratio_terms(metric, cases)
    return Ratio.of(numerator, denominator, family, n_families)


def slice_values(metric: str, cases: pd.DataFrame) -> Floats:
    """(N,) value of each slice, for a metric that is a mean over slices; NaN where a custom one is not defined."""
    if metric == "miou":
        return cases[["iou_background", "iou_tumor"]].mean(axis=1).to_numpy(dtype=np.float64)
    if metric == "mpa":
        return cases[["recall_background", "recall_tumor"]].mean(axis=1).to_numpy(dtype=np.float64)
    if metric == "acc":
        return np.asarray(cases["predicted"] == cases["label"], dtype=np.float64)
    if metric == "n_missed":
        return cases["missed"].to_numpy(dtype=np.float64)
    if metric == "n_no_overlap":
        return np.asarray((cases["overlaps"] == 0) & (cases["missed"] == 0), dtype=np.float64)
    return cases[metric].to_numpy(dtype=np.float64)


def _ratio_terms(metric: str, cases: pd.DataFrame) -> tuple[Floats, Floats]:
    ones = np.ones(len(cases))
    if metric == "hd95_overlapping_mm":
        overlaps = cases["overlaps"].to_numpy(dtype=np.float64)
        return cases["hd95_mm"].to_numpy(dtype=np.float64) * overlaps, overlaps
    values = slice_values(metric, cases)
    # A count is a share of the test slices times their number, because resamples differ in their number of slices.
    if metric.startswith("n_"):
        return values * len(cases), ones
    # The mean leaves out slices without a value.
    return np.nan_to_num(values), np.isfinite(values).astype(np.float64)


@dataclass(frozen=True)
class Ratio:
    """A ratio of sums over slices, such as a mean.

    Attributes:
        numerator: (F,) sum over the slices of each family.
        denominator: (F,) likewise.
    """

    numerator: Floats
    denominator: Floats

    @classmethod
    def of(cls, numerator: Floats, denominator: Floats, family: Codes, n_families: int) -> "Ratio":
        """Sum slices (N,) by family."""
        return cls(
            np.bincount(family, weights=numerator, minlength=n_families).astype(np.float64),
            np.bincount(family, weights=denominator, minlength=n_families).astype(np.float64),
        )

    def __call__(self, weights: Floats) -> Floats:
        """Values (B,) for weights (B, F)."""
        return _divided(weights @ self.numerator, weights @ self.denominator, np.nan)


@dataclass(frozen=True)
class Confusion:
    """A function of the confusion matrix.

    Attributes:
        counts: (F, K * K) slices of each family by true and predicted class.
        read: (B, K, K) weighted counts -> (B,) values.
    """

    counts: Floats
    read: Callable[[Floats], Floats]

    def __call__(self, weights: Floats) -> Floats:
        """Values (B,) for weights (B, F)."""
        n_classes = math.isqrt(self.counts.shape[1])
        return self.read((weights @ self.counts).reshape(-1, n_classes, n_classes))


def confusion_by_family(cases: pd.DataFrame, family: Codes, n_families: int) -> Floats:
    """(F, K * K) slices of each family by true class (rows) and predicted class (columns)."""
    n_classes = len(classes_of(cases))
    cell = (cases["label"].to_numpy(dtype=np.int64) - 1) * n_classes
    cell += cases["predicted"].to_numpy(dtype=np.int64) - 1
    n_cells = n_classes**2
    counts = np.bincount(family * n_cells + cell, minlength=n_families * n_cells)
    return counts.reshape(n_families, n_cells).astype(np.float64)


def sensitivities(confusion: Floats) -> Floats:
    """(B, K) share of each class's slices that are found; NaN for a class without slices."""
    return _divided(np.diagonal(confusion, axis1=1, axis2=2), confusion.sum(axis=2), np.nan)


def precisions(confusion: Floats) -> Floats:
    """(B, K) share of the slices predicted as a class that belong to it: 0 if none are, NaN for an absent class."""
    values = _divided(np.diagonal(confusion, axis1=1, axis2=2), confusion.sum(axis=1), 0.0)
    return np.where(confusion.sum(axis=2) > 0, values, np.nan)


def specificities(confusion: Floats) -> Floats:
    """(B, K) share of the other classes' slices that are not predicted as the class; NaN if there are none."""
    called = confusion.sum(axis=1) - np.diagonal(confusion, axis1=1, axis2=2)
    others = confusion.sum(axis=(1, 2))[:, None] - confusion.sum(axis=2)
    return 1 - _divided(called, others, np.nan)


def _f1(confusion: Floats) -> Floats:
    precision, recall = precisions(confusion).mean(axis=1), sensitivities(confusion).mean(axis=1)
    return _divided(2 * precision * recall, precision + recall, 0.0)


CONFUSION_READERS: dict[str, Callable[[Floats], Floats]] = {
    "rec": lambda confusion: sensitivities(confusion).mean(axis=1),
    "pre": lambda confusion: precisions(confusion).mean(axis=1),
    "f1": _f1,
}


@dataclass(frozen=True)
class Median:
    """Median over slices; of an even number, the mean of the middle two.

    Attributes:
        values: (N,) sorted.
        family: (N,) family of each.
    """

    values: Floats
    family: Codes

    @classmethod
    def of(cls, values: Floats, family: Codes) -> "Median":
        """Sort the slices (N,) by value."""
        order = np.argsort(values, kind="stable")
        return cls(values[order], family[order])

    def __call__(self, weights: Floats) -> Floats:
        """Values (B,) for whole-numbered weights (B, F)."""
        return np.concatenate([self._of_chunk(chunk) for chunk in np.array_split(weights, 1 + len(weights) // 500)])

    def _of_chunk(self, weights: Floats) -> Floats:
        # In a resample of n slices, a slice occupies one rank for each time it is drawn.
        last_place = np.cumsum(weights[:, self.family], axis=1)
        n = last_place[:, -1:]
        lower = np.argmax(last_place > (n - 1) // 2, axis=1)
        upper = np.argmax(last_place > n // 2, axis=1)
        return np.where(n[:, 0] > 0, (self.values[lower] + self.values[upper]) / 2, np.nan)


@dataclass(frozen=True)
class _FoldAuc:
    """Concordant pairs within one fold, by the families of positive and negative.

    Attributes:
        positive, negative: (P,), (Q,) families that have slices of either kind.
        n_positive, n_negative: (P,), (Q,) how many.
        concordant: (P, Q) pairs in which the positive outscores the negative, ties counting half.
    """

    positive: Codes
    negative: Codes
    n_positive: Floats
    n_negative: Floats
    concordant: Floats

    @classmethod
    def of(cls, is_positive: NDArray[np.bool_], score: Floats, family: Codes) -> "_FoldAuc":
        positive, of_positive = np.unique(family[is_positive], return_inverse=True)
        negative, of_negative = np.unique(family[~is_positive], return_inverse=True)
        above = score[is_positive][:, None] - score[~is_positive]
        wins = (np.sign(above) + 1) / 2
        by_positive = (np.arange(len(positive))[:, None] == of_positive).astype(np.float64)
        by_negative = (np.arange(len(negative))[:, None] == of_negative).astype(np.float64)
        return cls(
            positive, negative, by_positive.sum(axis=1), by_negative.sum(axis=1), by_positive @ wins @ by_negative.T
        )


def _auc(metric: str, cases: pd.DataFrame, family: Codes, n_families: int) -> Estimator:
    classes = classes_of(cases)
    if metric == "auc_macro":
        parts = [_auc(f"auc_{name}", cases, family, n_families) for name in classes]
        return lambda weights: np.sum([part(weights) for part in parts], axis=0) / len(parts)
    i = classes.index(metric.removeprefix("auc_").removesuffix("_released"))
    is_positive = (cases["label"] == i + 1).to_numpy()
    score, fold = cases[class_columns(classes)[i]].to_numpy(dtype=np.float64), cases["fold"].to_numpy()
    if metric.endswith("_released"):
        score = np.round(score, SCORE_DECIMALS)
    folds = [fold == value for value in np.unique(fold)]
    parts_by_fold = [_FoldAuc.of(is_positive[chosen], score[chosen], family[chosen]) for chosen in folds]

    def values(weights: Floats) -> Floats:
        concordant, pairs = np.zeros(len(weights)), np.zeros(len(weights))
        for part in parts_by_fold:
            of_positive, of_negative = weights[:, part.positive], weights[:, part.negative]
            concordant += ((of_positive @ part.concordant) * of_negative).sum(axis=1)
            pairs += (of_positive @ part.n_positive) * (of_negative @ part.n_negative)
        return _divided(concordant, pairs, np.nan)

    return values


def _divided(numerator: Floats, denominator: Floats, undefined: float) -> Floats:
    """Quotient, and `undefined` where the denominator is 0; NaN stays NaN."""
    quotient = np.full(np.shape(numerator), undefined, dtype=np.float64)
    return np.divide(numerator, denominator, out=quotient, where=np.asarray(denominator) != 0)
