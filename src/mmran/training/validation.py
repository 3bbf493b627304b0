"""Validation after each epoch: Dice and accuracy, which select the weights."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mmran.data.batches import ResidentSlices, iterate
from mmran.training.recipe import Recipe, Stage


@dataclass(frozen=True)
class ValidationMetrics:
    """Metrics of the validation slices, 0 to 1; None for a task that is not trained yet.

    Attributes:
        dice: mean Dice of masks at .5 (Eq. 16), at the network's size.
        accuracy: accuracy (Eq. 20).
    """

    dice: float | None
    accuracy: float | None

    @property
    def score(self) -> float:
        """Mean of the metrics that exist."""
        known = [metric for metric in (self.dice, self.accuracy) if metric is not None]
        return sum(known) / len(known)


def validate(recipe: Recipe, slices: ResidentSlices, stage: Stage) -> ValidationMetrics:
    """Measure the tasks that are trained by the end of a stage; leaves the network in evaluation mode."""
    recipe.network.eval()
    dice, correct = [], []
    batch_size = recipe.experiment.training.batch_size
    for batch in iterate(slices, batch_size=batch_size, seed=0, epoch=0, augmentation=None, shuffle=False):
        output = recipe.predict_stage(batch.images, stage)
        if output.mask_logits is not None:
            dice.append(_hard_dice(output.mask_logits >= 0, batch.masks > 0.5))
        if output.class_logits is not None:
            correct.append(output.class_logits.argmax(1) == batch.labels)
    return ValidationMetrics(
        dice=float(torch.cat(dice).mean()) if dice else None,
        accuracy=float(torch.cat(correct).float().mean()) if correct else None,
    )


def _hard_dice(predicted: Tensor, truth: Tensor) -> Tensor:
    """Dice per image of boolean masks (B, 1, S, S) -> (B,); two empty masks agree perfectly."""
    intersection = (predicted & truth).sum((1, 2, 3))
    total = predicted.sum((1, 2, 3)) + truth.sum((1, 2, 3))
    return torch.where(total == 0, 1.0, 2 * intersection / total.clamp(min=1))
