"""Adversarial training of RV-GAN: two mask generators, each against its own discriminator."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmran.data.batches import Batch
from mmran.networks.rv_gan import RVGAN, halved, signed
from mmran.training.optimizers import make_optimizer
from mmran.training.recipe import Recipe, Stage

REAL, GENERATED = -1.0, 1.0
"""Targets of the discriminators' scores."""

DISCRIMINATOR_TURNS = 2
"""Steps of the discriminators per step of the generators."""

WEIGHTS = {"adversarial_loss": 1.0, "feature_loss": 1.0, "hinge_loss": 10.0, "reconstruction_loss": 10.0}
"""Weights of the terms in the generators' joint loss."""

ENCODER_SHARE = 0.5
"""Weight of the encoder's features in feature matching; the decoder's have the rest."""

BETAS = (0.5, 0.999)
"""Of Adam and AdamW: in a game, gradients change direction too often for the usual .9."""


class View(NamedTuple):
    """Images (B, C, H, W) and true masks (B, 1, H, W) at one size, -1..1."""

    images: Tensor
    masks: Tensor


class Views(NamedTuple):
    """A micro-batch at both sizes.

    Attributes:
        views: at full and at half size, in the order of the discriminators.
        share: its fraction of the batch.
    """

    views: tuple[View, View]
    share: float


class Adversarial(Recipe):
    """Three steps per batch, from the same images:

    1. each generator toward the true masks, by mean squared error;
    2. the discriminators, twice, by least squares on true masks and on the masks from before step 1;
    3. both generators together, against the discriminators as they are then.

    The fine generator receives the coarse one's feature as a plain input, so each generator is responsible for
    its own masks only; in step 1 the feature is from before the coarse generator's step. Each step has its
    own optimizer.

    Source: Kamran et al. 2021, with the learning rate of the experiment (theirs is 2e-4).
    Deviates: their code takes step 2 before step 1, to the same effect, and takes separate steps for true and
    generated masks where this one adds both losses. In step 3 it compares masks with earlier ones of the same
    generators; here, as in the paper, with the true ones.
    """

    own_losses = ("segmentation", "classification")

    def begin(self, stage: Stage) -> None:
        """Create the four optimizers."""
        network = self._network
        self.optimizers = {
            "coarse": self._optimizer(network.coarse.parameters()),
            "fine": self._optimizer(network.fine.parameters()),
            "discriminators": self._optimizer(network.discriminators.parameters()),
            "joint": self._optimizer(self._generator_parameters()),
        }

    def step(self, batch: Batch, stage: Stage, epoch: int) -> dict[str, Tensor]:
        """One round of the game."""
        parts = self._views(batch)
        regression, generated = self._regress(parts)
        for _ in range(DISCRIMINATOR_TURNS):
            discrimination = self._discriminate(parts, generated)
        return {**self._join(parts), **regression, **discrimination}

    def compiled(self) -> tuple[nn.Module, ...]:
        """Generators and discriminators, which the steps call one by one."""
        return self._network.coarse, self._network.fine, *self._network.discriminators

    @property
    def _network(self) -> RVGAN:
        return cast(RVGAN, self.network)

    def _generator_parameters(self) -> list[nn.Parameter]:
        return [*self._network.coarse.parameters(), *self._network.fine.parameters()]

    def _optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return make_optimizer(parameters, self.experiment.training, betas=BETAS)

    def _views(self, batch: Batch) -> list[Views]:
        views = []
        for part in self.micro_batches(batch):
            full = View(signed(part.batch.images), signed(part.batch.masks))
            views.append(Views((full, View(*map(halved, full))), part.share))
        return views

    def _generate(self, part: Views) -> tuple[Tensor, Tensor]:
        """Masks at full and at half size, (B, 1, H, W) float32, -1..1."""
        full, half = part.views
        with self.autocast():
            coarse, feature = self._network.coarse(half.images)
            fine = self._network.fine(full.images, feature.detach())
        return torch.tanh(fine.float()), torch.tanh(coarse.float())

    def _regress(self, parts: Sequence[Views]) -> tuple[dict[str, Tensor], list[tuple[Tensor, ...]]]:
        """Step 1. Returns its losses, and the masks of each micro-batch before the step."""
        totals: dict[str, Tensor] = {}
        generated = []
        optimizers = (self.optimizers["fine"], self.optimizers["coarse"])
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        for part in parts:
            masks = self._generate(part)
            losses = [functional.mse_loss(mask, view.masks) for mask, view in zip(masks, part.views, strict=True)]
            # The two share no weight: one backward pass serves both.
            self.backward(torch.stack(losses).sum() * part.share)
            _add(totals, dict(zip(("fine_loss", "coarse_loss"), losses, strict=True)), part.share)
            generated.append(tuple(mask.detach() for mask in masks))
        self.update(*optimizers)
        return totals, generated

    def _discriminate(self, parts: Sequence[Views], generated: Sequence[tuple[Tensor, ...]]) -> dict[str, Tensor]:
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
            self.backward(loss * part.share)
            _add(totals, {"discriminator_loss": loss}, part.share)
        self.update(optimizer)
        return totals

    def _join(self, parts: Sequence[Views]) -> dict[str, Tensor]:
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
            self.backward(loss * part.share, inputs=parameters)
            _add(totals, {"loss": loss, **terms}, part.share)
        self.update(optimizer)
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
    """Mean squared distance of scores to their target: a float32 scalar.

    Source: Mao et al. 2017.
    """
    return (scores.float() - target).square().mean()


def hinge(values: Tensor, targets: Tensor | float) -> Tensor:
    """Mean of max(0, 1 - target x value), for targets of -1 and 1: a float32 scalar."""
    return functional.relu(1 - targets * values.float()).mean()


def feature_matching(features: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Weighted mean absolute distances between a discriminator's features: a float32 scalar.

    Source: Kamran et al. 2021.

    Args:
        features: of generated masks, first the encoder's, then equally many of the decoder's.
        targets: features of true masks.
    """
    distances = torch.stack(
        [functional.l1_loss(ours.float(), theirs.float()) for ours, theirs in zip(features, targets, strict=True)]
    )
    encoder, decoder = distances.chunk(2)
    return ENCODER_SHARE * encoder.sum() + (1 - ENCODER_SHARE) * decoder.sum()


def _add(totals: dict[str, Tensor], losses: dict[str, Tensor], share: float) -> None:
    for name, value in losses.items():
        totals[name] = totals.get(name, torch.zeros_like(value)) + value.detach() * share
