"""Dice, focal and compound loss: pure functions, in float32 whatever precision the network ran in."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

DiceReading = Literal["smoothed", "printed"]


def dice_loss(
    mask_logits: Tensor, masks: Tensor, *, reading: DiceReading = "smoothed", smoothing: float = 1.0
) -> Tensor:
    """Soft Dice loss of each image, averaged over the batch: a float32 scalar.

    With I, S and G the sums over pixels of probability x mask, probability, and mask, and e the smoothing:
    `smoothed` is 1 - (2 I + e) / (S + G + e), 0..1; `printed` is 1 - 2 (I + e) / (S + G + e), -1..1.

    Source: Eq. 11, e = 1.
    Deviates: the equation puts the factor 2 outside the smoothed ratio, so that two empty masks give -1; that
    is `printed`. The default gives them 0, and is within 1e-3 of the other from lesions of 1000 pixels on.

    Args:
        mask_logits: (B, 1, H, W), any floating dtype.
        masks: (B, 1, H, W), 0 or 1, any dtype.
        reading: of Eq. 11.
        smoothing: e; keeps the denominator from being 0.

    Raises:
        ValueError: the shapes differ, or there is no such reading.
    """
    if mask_logits.shape != masks.shape:
        raise ValueError(f"mask logits {tuple(mask_logits.shape)} and masks {tuple(masks.shape)} differ in shape")
    if reading not in ("smoothed", "printed"):
        raise ValueError(f"Dice reading {reading!r} is unknown; it is smoothed or printed")
    # 512 x 512 probabilities add up to more than float16 holds, and bfloat16 loses whole pixels on the way.
    probabilities = torch.sigmoid(mask_logits.float()).flatten(1)  # (B, pixels)
    truths = masks.float().flatten(1)
    overlap = (probabilities * truths).sum(dim=1)
    total = probabilities.sum(dim=1) + truths.sum(dim=1)
    numerator = 2 * overlap + smoothing if reading == "smoothed" else 2 * (overlap + smoothing)
    return (1 - numerator / (total + smoothing)).mean()


def focal_loss(
    class_logits: Tensor,
    labels: Tensor,
    *,
    alpha: float | Sequence[float] | Tensor = 0.25,
    gamma: float = 2.0,
) -> Tensor:
    """Multi-class focal loss -alpha (1 - p_t)^gamma log p_t, averaged over the batch: a float32 scalar.

    Source: Eq. 12; Lin et al. 2017. The paper's loss is written for two classes: p_t is read as the softmax
    probability of the true class, and alpha as one number for all classes.

    Args:
        class_logits: (B, K), any floating dtype.
        labels: (B,) int64, 0..K-1.
        alpha: one weight, or one per class.
        gamma: >= 0; the greater, the less an image that is already classified well counts. 0 leaves alpha
            times cross-entropy.

    Raises:
        ValueError: alpha has another length than K.
    """
    log_probabilities = functional.log_softmax(class_logits.float(), dim=1)
    log_p = log_probabilities.gather(1, labels[:, None]).squeeze(1)  # (B,)
    # -expm1 keeps 1 - p exact for p near 1. Its floor: the power's slope is infinite at 0 for gamma < 1.
    miss = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).tiny)
    losses = -(miss**gamma) * log_p
    if isinstance(alpha, int | float):
        return (alpha * losses).mean()
    weights = torch.as_tensor(alpha, dtype=losses.dtype, device=losses.device)
    if weights.shape != class_logits.shape[1:]:
        raise ValueError(f"focal alpha has {weights.numel()} weights for {class_logits.shape[1]} classes")
    return (weights[labels] * losses).mean()


def compound_loss(dice: Tensor, focal: Tensor, alpha: float) -> Tensor:
    """(1 - alpha) Dice + alpha focal.

    A task of weight 0 takes no part, instead of adding gradients of 0: Adam would go on moving its head by old
    momentum, and "the gradient backpropagation of other tasks is frozen" (section 3.4).

    Source: Eq. 13.

    Args:
        dice: scalar.
        focal: scalar.
        alpha: weight of classification, 0..1; `TaskWeights.classification`.
    """
    if alpha == 0:
        return dice
    return focal if alpha == 1 else (1 - alpha) * dice + alpha * focal
