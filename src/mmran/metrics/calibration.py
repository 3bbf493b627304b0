"""Calibration of class probabilities: does a network that says 80 % hit 80 % of the time?"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 10
SMALLEST = 1e-15
"""The smallest probability that a logarithm is taken of."""


class Bin(NamedTuple):
    """A tenth of the slices, by confidence.

    Attributes:
        n: how many slices.
        confidence: mean probability of the predicted class.
        accuracy: share whose predicted class is right.
    """

    n: int
    confidence: float
    accuracy: float


def reliability(truth: NDArray[np.integer], probability: NDArray[np.floating], bins: int = BINS) -> list[Bin]:
    """Sort slices by confidence into bins of equal numbers of slices.

    Args:
        truth: (N,) integer class ids from zero.
        probability: (N, K) float class probabilities.
        bins: how many; fewer if there are fewer slices.

    Source: Naeini et al. 2015; equal masses as in Nixon et al. 2019.
    """
    confidence = probability.max(axis=1)
    correct = probability.argmax(axis=1) == truth
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, min(bins, order.size))
    return [Bin(part.size, float(confidence[part].mean()), float(correct[part].mean())) for part in parts]


def expected_calibration_error(bins: list[Bin]) -> float:
    """Mean distance between confidence and accuracy, weighted by the slices of each bin; 0 is perfect."""
    return sum(one.n * abs(one.confidence - one.accuracy) for one in bins) / sum(one.n for one in bins)


def brier(truth: NDArray[np.integer], probability: NDArray[np.floating]) -> float:
    """Mean squared distance to the true class, summed over the classes: 0 is perfect, 2 is the worst.

    Source: Brier 1950.
    """
    return float(((probability - np.eye(probability.shape[1])[truth]) ** 2).sum(axis=1).mean())


def log_loss(truth: NDArray[np.integer], probability: NDArray[np.floating]) -> float:
    """Mean negative logarithm of the true class's probability."""
    chosen = probability[np.arange(truth.size), truth]
    return float(-np.log(np.clip(chosen, SMALLEST, 1)).mean())


def slope(truth: NDArray[np.integer], probability: NDArray[np.floating]) -> float:
    """Calibration slope: the power b for which p^b, normalized, fits the classes best.

    1 is calibrated, below 1 overconfident, above 1 underconfident; the reciprocal of the temperature of Guo et al.
    2017. NaN where every class is right or the probabilities of a slice are all equal: no finite power is best.
    """
    logits = np.log(np.clip(probability, SMALLEST, 1))
    right = logits[np.arange(truth.size), truth]
    if (right[:, None] >= logits).all() or not np.ptp(logits, axis=1).any():
        return float("nan")
    # The likelihood is concave in b: halve an interval that holds the zero of its derivative.
    low, high = -1.0, 1.0
    while _score(low, logits, right) < 0:
        low *= 2
    while _score(high, logits, right) > 0:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _score(middle, logits, right) > 0 else (low, middle)
    return (low + high) / 2


def _score(power: float, logits: NDArray[np.floating], right: NDArray[np.floating]) -> float:
    """Derivative of the log-likelihood by the power."""
    scaled = power * logits
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    expected = (weights * logits).sum(axis=1) / weights.sum(axis=1)
    return float((right - expected).sum())
