"""Two stages: the segmentation part alone, then the whole network from it."""

from typing import cast

import torch
from torch import Tensor, nn

from mmran.errors import UserError
from mmran.networks.output import NetworkOutput
from mmran.networks.y_net import YNet
from mmran.training.multitask import Multitask
from mmran.training.recipe import Stage

SEGMENTATION = "segmentation"
JOINT = "joint"


class Staged(Multitask):
    """The Dice loss of the segmentation part for half the epochs, then the compound loss of the whole network.

    The schedule of task weights runs over the second stage, which starts with a new optimizer. Until then the rest
    of the network neither changes nor collects running statistics.

    Source: Mehta et al. 2018. The number of epochs of each stage is not stated; half each, an odd one to the second.
    """

    def stages(self) -> tuple[Stage, ...]:
        """The two stages, or one where the data lack masks or classes.

        Raises:
            UserError: fewer epochs than stages.
        """
        epochs = self.experiment.training.epochs
        if len(self.network.tasks) < 2:
            return (Stage(SEGMENTATION if SEGMENTATION in self.network.tasks else JOINT, epochs),)
        if epochs < 2:
            raise UserError(f"training.epochs: {epochs} is too few for the two stages of y-net; set 2 or more")
        return Stage(SEGMENTATION, epochs // 2), Stage(JOINT, epochs - epochs // 2)

    def begin(self, stage: Stage) -> None:
        """Create the optimizer over what the stage trains."""
        self.network.requires_grad_(stage.name == JOINT)
        self._network.segmentation.requires_grad_(True)
        super().begin(stage)

    def values(self, stage: Stage, epoch: int) -> dict[str, float]:
        """The weight of the classification loss in the second stage."""
        return super().values(stage, epoch) if stage.name == JOINT else {}

    def compiled(self) -> tuple[nn.Module, ...]:
        """Segmentation part and diagnosis branch: the first stage calls only the former."""
        return self._network.segmentation, self._network.diagnosis

    def forward(self, images: Tensor, stage: Stage) -> NetworkOutput:
        """Masks in the first stage, masks and classes in the second."""
        if stage.name == JOINT:
            return super().forward(images, stage)
        mask_logits, _ = self._network.segmentation(images)
        return NetworkOutput(mask_logits=mask_logits)

    def predict_stage(self, images: Tensor, stage: Stage) -> NetworkOutput:
        """Masks in the first stage, where no class is trained yet."""
        with torch.inference_mode(), self.autocast():
            return self.forward(self.layout(images), stage)

    @property
    def _network(self) -> YNet:
        return cast(YNet, self.network)
