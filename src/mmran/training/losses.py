"""Dice, focal and compound loss: pure functions that compute in float32, whatever the network's precision."""

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
    Deviates: the equation puts the factor 2 outside the smoothed ratio, so two empty masks give -1; that is `printed`.
    The default gives them 0, and differs from `printed` by less than 1e-3 for lesions above 1000 pixels.

    Args:
        mask_logits: (B, 1, H, W), any floating dtype.
        masks: (B, 1, H, W), 0 or 1, any dtype.
        reading: of Eq. 11.
        smoothing: e; keeps the denominator above 0.

    Raises:
        ValueError: the shapes differ, or the reading is unknown.
    """
    if mask_logits.shape != masks.shape:
        raise ValueError(f"mask logits {tuple(mask_logits.shape)} and masks {tuple(masks.shape)} differ in shape")
    if reading not in ("smoothed", "printed"):
        raise ValueError(f"Dice reading {reading!r} is unknown; choose smoothed or printed")
    # The sum of 512 x 512 probabilities overflows float16, and bfloat16 drops whole pixels from it.
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

    Source: Eq. 12; Lin et al. 2017. The paper writes the loss for two classes; here p_t is the softmax probability of
    the true class, and alpha one number for all classes.

    Args:
        class_logits: (B, K), any floating dtype.
        labels: (B,) int64, 0..K-1.
        alpha: one weight, or one per class.
        gamma: >= 0; larger values reduce the weight of images that are already classified well. 0 gives alpha times
            cross-entropy.

    Raises:
        ValueError: the length of alpha is not K.
    """
    log_probabilities = functional.log_softmax(class_logits.float(), dim=1)
    log_p = log_probabilities.gather(1, labels[:, None]).squeeze(1)  # (B,)
    # -expm1 keeps 1 - p exact for p near 1. The floor avoids the infinite slope of the power at 0 for gamma < 1.
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

    A task of weight 0 is left out, instead of adding gradients of 0: Adam would keep moving its head by old momentum,
    but "the gradient backpropagation of other tasks is frozen" (section 3.4).

    Source: Eq. 13.

    Args:
        dice: scalar.
        focal: scalar.
        alpha: weight of classification, 0..1; `TaskWeights.classification`.
    """
    if alpha == 0:
        return dice
    return focal if alpha == 1 else (1 - alpha) * dice + alpha * focal
