"""Metrics as the authors' public script computes them, which differ from the paper's equations.

Whether the script made the printed values is unknown. Its HD95 is not here: it hands raw logits to medpy, which counts
every nonzero logit as tumor, so the value depends on the true mask alone.
"""

import numpy as np
from numpy.typing import NDArray

from mmran.metrics.overlap import count_pixels, iou, recall

SCORE_DECIMALS = 3
"""Digits to which the script rounds class probabilities before it ranks them."""


def soft_loss_dice(probability: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """One minus the smoothed soft Dice loss, 0..1: (2 I + 1) / (S + G + 1) on probabilities, without a threshold.

    Args:
        probability: (H, W) float, 0..1.
        truth: (H, W) bool.

    Source: the released script, for one slice per batch; it pools a batch.
    """
    if probability.shape != truth.shape:
        raise ValueError(f"expected one shape, not {probability.shape} and {truth.shape}")
    both = float(probability[truth].sum(dtype=np.float64))
    total = float(probability.sum(dtype=np.float64)) + int(np.count_nonzero(truth))
    return (2 * both + 1) / (total + 1)


def faint_overlap(faint: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[float, float]:
    """MIoU and MPA of a mask that counts any trace of probability as tumor.

    Args:
        faint: (H, W) bool, the pixels with a probability of 1/255 or more.
        truth: (H, W) bool.

    Source: the released script, which compares masks saved as gray images with zero.
    """
    counts = count_pixels(faint, truth)
    return iou(counts).mean, recall(counts).mean
