"""RV-GAN's game: two generators of masks against a discriminator each."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmran.data.batches import Batch
from mmran.networks.rv_gan import RVGAN, halved, signed
from mmran.training.recipe import Recipe, Stage

REAL, GENERATED = -1.0, 1.0
"""What discriminators are to say of a mask."""

DISCRIMINATOR_TURNS = 2
"""Steps of the discriminators for each one of the generators."""

WEIGHTS = {"adversarial_loss": 1.0, "feature_loss": 1.0, "hinge_loss": 10.0, "reconstruction_loss": 10.0}
"""Of the terms of the generators' joint loss."""

ENCODER_SHARE = 0.5
"""Weight of the encoder's features in feature matching; the decoder's have the rest."""

BETAS = (0.5, 0.999)
"""Of Adam: gradients of a game turn too often for the usual .9."""


class View(NamedTuple):
    """Images and true masks at one size, both (B, 1, H, W) and -1..1."""

    images: Tensor
    masks: Tensor


class Part(NamedTuple):
    """As much of a batch as is computed at a time.

    Attributes:
        views: at full and at half size, as the discriminators are ordered.
        share: of the batch.
    """

    views: tuple[View, View]
    share: float


class Adversarial(Recipe):
    """For each batch, every step from the same images:

    1. each generator towards the true masks, by their mean square distance;
    2. the discriminators, twice, by least squares on true masks and on those that step 1 started from;
    3. both generators together, against the discriminators as they then are.

    The coarse generator's feature is handed to the fine one as a plain input, so that each generator answers for
    its own masks; in step 1 it is from before the coarse generator's step. Each step has an Adam of its own.

    Source: Kamran et al. 2021, with the learning rate of the experiment (theirs is 2e-4).
    Deviates: their code takes step 2 before step 1, to the same effect, and steps once for true and once for
    generated masks where this one adds both losses. In step 3 it compares masks with earlier ones of the same
    generators; as the paper has it, here it is with the true ones.
    """

    def begin(self, stage: Stage) -> None:
        """Make the four optimizers."""
        network = self._network
        self.optimizers = {
            "coarse": self._adam(network.coarse.parameters()),
            "fine": self._adam(network.fine.parameters()),
            "discriminators": self._adam(network.discriminators.parameters()),
            "joint": self._adam(self._generator_parameters()),
        }

    def step(self, batch: Batch, stage: Stage, epoch: int) -> dict[str, Tensor]:
        """One round of the game on one batch, each step computed in `accumulate` parts."""
        parts = self._parts(batch)
        regression, generated = self._regress(parts)
        for _ in range(DISCRIMINATOR_TURNS):
            discrimination = self._discriminate(parts, generated)
        return {**self._join(parts), **regression, **discrimination}

    @property
    def _network(self) -> RVGAN:
        return cast(RVGAN, self.network)

    def _generator_parameters(self) -> list[nn.Parameter]:
        return [*self._network.coarse.parameters(), *self._network.fine.parameters()]

    def _adam(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Adam:
        parameters = list(parameters)
        rate, fused = self.experiment.training.learning_rate, parameters[0].device.type == "cuda"
        return torch.optim.Adam(parameters, lr=rate, betas=BETAS, fused=fused)

    def _parts(self, batch: Batch) -> list[Part]:
        n = len(batch.labels)
        count = min(self.experiment.training.accumulate, n)
        parts = []
        for images, masks in zip(batch.images.tensor_split(count), batch.masks.tensor_split(count), strict=True):
            full = View(signed(images), signed(masks))
            parts.append(Part((full, View(*map(halved, full))), len(images) / n))
        return parts

    def _generate(self, part: Part) -> tuple[Tensor, Tensor]:
        """Masks at full and at half size, (B, 1, H, W) float32, -1..1."""
        full, half = part.views
        with self.autocast():
            coarse, feature = self._network.coarse(half.images)
            fine = self._network.fine(full.images, feature.detach())
        return torch.tanh(fine.float()), torch.tanh(coarse.float())

    def _regress(self, parts: Sequence[Part]) -> tuple[dict[str, Tensor], list[tuple[Tensor, ...]]]:
        """Step 1. Returns its losses, and the masks of each part from before it."""
        totals: dict[str, Tensor] = {}
        generated = []
        optimizers = (self.optimizers["fine"], self.optimizers["coarse"])
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        for part in parts:
            masks = self._generate(part)
            losses = [functional.mse_loss(mask, view.masks) for mask, view in zip(masks, part.views, strict=True)]
            # The two share no weight: one backward pass serves both.
            (torch.stack(losses).sum() * part.share).backward()
            _add(totals, dict(zip(("fine_loss", "coarse_loss"), losses, strict=True)), part.share)
            generated.append(tuple(mask.detach() for mask in masks))
        for optimizer in optimizers:
            optimizer.step()
        return totals, generated

    def _discriminate(self, parts: Sequence[Part], generated: Sequence[tuple[Tensor, ...]]) -> dict[str, Tensor]:
        """Step 2."""
        totals: dict[str, Tensor] = {}
        optimizer = self.optimizers["discriminators"]
        optimizer.zero_grad(set_to_none=True)
        for part, masks in zip(parts, generated, strict=True):
            terms = []
            for judge, view, mask in zip(self._network.discriminators, part.views, masks, strict=True):
                with self.autocast():
                    of_true, _ = judge(view.images, view.masks)
                    of_generated, _ = judge(view.images, mask)
                terms += [least_squares(of_true, REAL), least_squares(of_generated, GENERATED)]
            loss = torch.stack(terms).sum()
            (loss * part.share).backward()
            _add(totals, {"discriminator_loss": loss}, part.share)
        optimizer.step()
        return totals

    def _join(self, parts: Sequence[Part]) -> dict[str, Tensor]:
        """Step 3."""
        totals: dict[str, Tensor] = {}
        optimizer = self.optimizers["joint"]
        optimizer.zero_grad(set_to_none=True)
        parameters = self._generator_parameters()
        for part in parts:
            masks = self._generate(part)
            both = [
                self._play(*players) for players in zip(self._network.discriminators, part.views, masks, strict=True)
            ]
            terms = {name: torch.stack([terms[name] for terms in both]).sum() for name in WEIGHTS}
            loss = torch.stack([weight * terms[name] for name, weight in WEIGHTS.items()]).sum()
            # Only generators learn from it, though the gradient passes through the discriminators.
            (loss * part.share).backward(inputs=parameters)
            _add(totals, {"loss": loss, **terms}, part.share)
        optimizer.step()
        return totals

    def _play(self, judge: nn.Module, view: View, masks: Tensor) -> dict[str, Tensor]:
        """The terms of a generator's loss at one size."""
        with self.autocast():
            scores, features = judge(view.images, masks)
            with torch.no_grad():
                _, true_features = judge(view.images, view.masks)
        return {
            "adversarial_loss": hinge(scores, REAL),
            "feature_loss": feature_matching(features, true_features),
            "hinge_loss": hinge(masks, view.masks),
            "reconstruction_loss": functional.mse_loss(masks, view.masks),
        }


def least_squares(scores: Tensor, target: float) -> Tensor:
    """Mean square distance of scores to what they are to be: a float32 scalar.

    Source: Mao et al. 2017.
    """
    return (scores.float() - target).square().mean()


def hinge(values: Tensor, targets: Tensor | float) -> Tensor:
    """Mean of max(0, 1 - target x value), for targets of -1 and 1: a float32 scalar."""
    return functional.relu(1 - targets * values.float()).mean()


def feature_matching(features: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Mean distances between a discriminator's features, encoder and decoder weighted: a float32 scalar.

    Source: Kamran et al. 2021.

    Args:
        features: of generated masks, those of the encoder first and as many of the decoder.
        targets: of true masks.
    """
    distances = torch.stack(
        [functional.l1_loss(ours.float(), theirs.float()) for ours, theirs in zip(features, targets, strict=True)]
    )
    encoder, decoder = distances.chunk(2)
    return ENCODER_SHARE * encoder.sum() + (1 - ENCODER_SHARE) * decoder.sum()


def _add(totals: dict[str, Tensor], losses: dict[str, Tensor], share: float) -> None:
    for name, value in losses.items():
        totals[name] = totals.get(name, torch.zeros_like(value)) + value.detach() * share
