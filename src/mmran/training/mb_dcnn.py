"""How MB-DCNN is trained: its three networks one after another, each for a third of the epochs."""

from typing import cast

import torch
from torch import Tensor, nn

from mmran.data.batches import Batch
from mmran.errors import UserError
from mmran.networks.mb_dcnn import MBDCNN
from mmran.networks.output import NetworkOutput
from mmran.training.learning_rates import learning_rate_share
from mmran.training.losses import dice_loss
from mmran.training.multitask import Multitask
from mmran.training.optimizers import make_optimizer
from mmran.training.recipe import Stage

STAGES = COARSE, CLASSIFICATION, ENHANCED = "coarse segmentation", "classification", "enhanced segmentation"

DICE_SMOOTHING = 1e-5

RANK_WEIGHT = 0.05
"""Weight of the rank loss beside the Dice loss."""

HARDEST = 30
"""Pixels of each class in an image that the rank loss compares."""

MARGIN = 0.3
"""Margin by which a tumor pixel's probability should exceed a background pixel's."""

DECAY_POWER = 0.9

ENHANCED_SHARE = 0.5
"""Fraction of the learning rate in the last stage, which starts from trained weights."""


class Bootstrapping(Multitask):
    """Coarse segmentation, then classification, then enhanced segmentation, which starts from the coarse one.

    Only the network of the stage learns; those before it are in evaluation mode, batch statistics included. Each has
    its own optimizer, and the learning rate falls as (1 - epoch / epochs of the stage)^.9.

    The second stage computes the coarse mask of each slice as the slice arrives, and the third its activation map:
    the networks that produce them no longer change, so each slice gets, as augmented, the mask and map that
    precomputing them would have given it.

    Source: Xie et al. 2020, with `training.learning_rate` 1e-4 and plain cross-entropy as the class loss
    (`loss.focal_alpha` 1, `loss.focal_gamma` 0). The schedule of task weights has no effect.
    Deviates: the authors lower the learning rate at every step instead of every epoch. They start from pretrained
    weights, and compute the masks before augmentation.
    """

    own_losses = ("segmentation",)

    def stages(self) -> tuple[Stage, ...]:
        """A third of the epochs each; if they are not divisible by 3, the earlier stages are longer.

        Raises:
            UserError: fewer epochs than stages.
        """
        epochs, n = self.experiment.training.epochs, len(STAGES)
        if epochs < n:
            raise UserError(
                f"training.epochs: {epochs} is too few for mb-dcnn, which trains three networks one after another; "
                "use 3 or more"
            )
        return tuple(Stage(name, (epochs + n - 1 - i) // n) for i, name in enumerate(STAGES))

    def begin(self, stage: Stage) -> None:
        """Create the optimizer of the stage's network; the last stage starts from the coarse weights."""
        if stage.name == ENHANCED:
            self._network.hand_on_weights()
        learner, options = self._learner(stage), self.experiment.training
        self.optimizers = {
            "network": make_optimizer(learner.parameters(), options, learning_rate=self.learning_rate(stage, 0))
        }

    def learning_rate(self, stage: Stage, epoch: int) -> float:
        """The learning rate in an epoch of a stage."""
        share = ENHANCED_SHARE if stage.name == ENHANCED else 1.0
        initial = share * self.experiment.training.learning_rate
        decayed = float(initial * (1 - epoch / stage.epochs) ** DECAY_POWER)
        return decayed * learning_rate_share(self.experiment.training, epoch, stage.epochs)

    def begin_epoch(self, stage: Stage, epoch: int) -> None:
        """Set the learning rate, which falls under every schedule."""
        for group in self.optimizers["network"].param_groups:
            group["lr"] = self.learning_rate(stage, epoch)

    def values(self, stage: Stage, epoch: int) -> dict[str, float]:
        """The learning rate."""
        return {"learning_rate": self.learning_rate(stage, epoch)}

    def step(self, batch: Batch, stage: Stage, epoch: int) -> dict[str, Tensor]:
        """One step of the optimizer."""
        # The loop puts the whole network into training mode before each epoch, so this runs once per epoch.
        if self.network.training:
            self.network.eval()
            self._learner(stage).train()
        return super().step(batch, stage, epoch)

    def forward(self, images: Tensor, stage: Stage) -> NetworkOutput:
        """Output of the stage's network; those before it run without gradients."""
        network = self._network
        if stage.name == COARSE:
            return NetworkOutput(mask_logits=network.coarse_mask_logits(images))
        with torch.no_grad():
            coarse_mask = network.coarse_mask(images)
        if stage.name == CLASSIFICATION:
            class_logits, _ = network.classify(images, coarse_mask)
            return NetworkOutput(class_logits=class_logits)
        with torch.no_grad():
            activation_map = network.classifier.activation_map(*network.classify(images, coarse_mask))
        return NetworkOutput(mask_logits=network.enhanced_mask_logits(images, activation_map))

    def predict_stage(self, images: Tensor, stage: Stage) -> NetworkOutput:
        """Output of the stage's network; in the last stage, that of the whole sequence."""
        if stage.name == ENHANCED:
            return self.predict(images)
        with torch.inference_mode(), self.autocast():
            return self.forward(self.layout(images), stage)

    def compiled(self) -> tuple[nn.Module, ...]:
        """The three networks, which the stages call one by one."""
        return self._network.coarse, self._network.classifier, self._network.enhanced

    def _losses(self, output: NetworkOutput, masks: Tensor, labels: Tensor, alpha: float) -> dict[str, Tensor]:
        if output.mask_logits is None:
            return super()._losses(output, masks, labels, alpha)
        return segmentation_losses(output.mask_logits, masks)

    @property
    def _network(self) -> MBDCNN:
        return cast(MBDCNN, self.network)

    def _learner(self, stage: Stage) -> nn.Module:
        network = self._network
        return {COARSE: network.coarse, CLASSIFICATION: network.classifier, ENHANCED: network.enhanced}[stage.name]


def segmentation_losses(mask_logits: Tensor, masks: Tensor) -> dict[str, Tensor]:
    """Dice loss, the mean of background's and tumor's, and rank loss.

    Source: Xie et al. 2020.

    Args:
        mask_logits: (B, 1, H, W), tumor minus background.
        masks: (B, 1, H, W), 0 or 1.

    Returns:
        loss, dice_loss and rank_loss, scalars.
    """
    tumor = dice_loss(mask_logits, masks, smoothing=DICE_SMOOTHING)
    background = dice_loss(-mask_logits, 1 - masks, smoothing=DICE_SMOOTHING)
    dice, rank = (tumor + background) / 2, rank_loss(mask_logits, masks)
    return {"loss": dice + RANK_WEIGHT * rank, "dice_loss": dice, "rank_loss": rank}


def rank_loss(mask_logits: Tensor, masks: Tensor, *, hardest: int = HARDEST, margin: float = MARGIN) -> Tensor:
    """How far the worst tumor pixels are from ranking above the worst background pixels: a float32 scalar.

    max(0, q - p + margin), averaged over all pairs of the tumor pixels of lowest probability p and the background
    pixels of highest probability q in an image, then over the batch. An image with fewer pixels of a class than are
    compared is padded with perfect ones.

    Source: Xie et al. 2020.

    Args:
        mask_logits: (B, 1, H, W), any floating dtype.
        masks: (B, 1, H, W), 0 or 1.
        hardest: number of pixels of each class to compare.
        margin: desired distance between the two probabilities.
    """
    probabilities = torch.sigmoid(mask_logits.float()).flatten(1)  # (B, pixels)
    tumor = masks.flatten(1) > 0.5
    k = min(hardest, probabilities.shape[1])
    p = torch.where(tumor, probabilities, 1.0).topk(k, largest=False).values  # (B, k)
    q = torch.where(tumor, 0.0, probabilities).topk(k).values
    return (q[:, :, None] - p[:, None, :] + margin).clamp_min(0).mean()
