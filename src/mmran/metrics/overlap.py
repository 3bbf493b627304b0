"""Overlap of a predicted and a true mask: Dice, IoU and recall, all from four pixel counts.

Two empty masks agree, so they score 1 in Dice and IoU (and 0 mm in HD95). Recall is the share of a class that was
found: NaN for a class without a pixel in the truth.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class PixelCounts(NamedTuple):
    """Pixels of one image by prediction and truth; tumor is the positive class."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


class PerClass(NamedTuple):
    """One fraction 0..1, or NaN, for each of the two pixel classes."""

    background: float
    tumor: float

    @property
    def mean(self) -> float:
        """Mean over the classes that are defined; NaN where neither is."""
        defined = [value for value in self if not math.isnan(value)]
        return sum(defined) / len(defined) if defined else math.nan


def count_pixels(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> PixelCounts:
    """Count the four kinds of pixels that every overlap metric is computed from.

    Args:
        prediction: (H, W) bool, True is tumor.
        truth: (H, W) bool.

    Raises:
        ValueError: the shapes differ, or a mask is not boolean.
    """
    check_masks(prediction, truth)
    both = int(np.count_nonzero(prediction & truth))
    predicted = int(np.count_nonzero(prediction))
    true = int(np.count_nonzero(truth))
    return PixelCounts(both, predicted - both, true - both, truth.size - predicted - true + both)


def check_masks(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> None:
    """Refuse masks that cannot be compared.

    Raises:
        ValueError: the shapes differ, they are not (H, W), or a mask is not boolean.
    """
    if prediction.shape != truth.shape or truth.ndim != 2:
        raise ValueError(f"expected two (H, W) masks of one shape, not {prediction.shape} and {truth.shape}")
    if prediction.dtype != np.bool_ or truth.dtype != np.bool_:
        raise ValueError(f"expected bool masks, not {prediction.dtype} and {truth.dtype}")


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """Find the smallest rectangle that holds every true pixel.

    Args:
        mask: (H, W) bool.

    Returns:
        Row slice and column slice, or None where no pixel is true.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return None
    columns = np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def dice(counts: PixelCounts) -> float:
    """Dice coefficient of the tumor, 0..1; 1 where both masks are empty.

    Source: Eq. 16, on masks thresholded at .5.
    """
    total = 2 * counts.true_positive + counts.false_positive + counts.false_negative
    return _ratio(2 * counts.true_positive, total, undefined=1.0)


def iou(counts: PixelCounts) -> PerClass:
    """Intersection over union of background and tumor; 1 for a class that neither mask has. MIoU is its mean.

    Source: Eq. 19 for one image, with p_ij read as false positives and p_ji as false negatives, as printed.
    """
    errors = counts.false_positive + counts.false_negative
    return PerClass(
        background=_ratio(counts.true_negative, counts.true_negative + errors, undefined=1.0),
        tumor=_ratio(counts.true_positive, counts.true_positive + errors, undefined=1.0),
    )


def recall(counts: PixelCounts) -> PerClass:
    """Share of each class's true pixels that were found; NaN for a class the truth lacks. MPA is its mean.

    Source: Eq. 18 for one image.
    Deviates: the paper calls p_ij false positives, which would make Eq. 18 a mean precision; the pixel
    accuracy of a class is its share among the pixels that truly belong to it.
    """
    background = counts.true_negative + counts.false_positive
    tumor = counts.true_positive + counts.false_negative
    return PerClass(
        background=_ratio(counts.true_negative, background, undefined=math.nan),
        tumor=_ratio(counts.true_positive, tumor, undefined=math.nan),
    )


def soft_dice(probability: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Dice coefficient of tumor probabilities without a threshold; 1 where both are empty.

    Args:
        probability: (H, W) float, 0..1.
        truth: (H, W) bool.
    """
    if probability.shape != truth.shape:
        raise ValueError(f"expected one shape, not {probability.shape} and {truth.shape}")
    total = float(probability.sum(dtype=np.float64)) + int(np.count_nonzero(truth))
    return _ratio(2 * float(probability[truth].sum(dtype=np.float64)), total, undefined=1.0)


def _ratio(numerator: float, denominator: float, *, undefined: float) -> float:
    return numerator / denominator if denominator else undefined
