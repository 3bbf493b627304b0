"""Two stages: the segmentation part alone, then the whole network from it."""

from typing import cast

from torch import Tensor

from mmran.networks.output import NetworkOutput
from mmran.networks.y_net import YNet
from mmran.training.multitask import Multitask
from mmran.training.recipe import Stage

ALONE = "segmentation"
JOINT = "joint"


class Staged(Multitask):
    """Half of the epochs the Dice loss of the segmentation part, the others the compound loss of the network.

    The schedule of task weights runs over the second stage, which starts Adam anew. While it waits for its stage,
    the rest of the network neither moves nor collects running statistics.

    Source: Mehta et al. 2018. How many epochs each stage has is not stated: half each, the odd one to the second.
    """

    def stages(self) -> tuple[Stage, ...]:
        """The two stages."""
        epochs = self.experiment.training.epochs
        return Stage(ALONE, epochs // 2), Stage(JOINT, epochs - epochs // 2)

    def begin(self, stage: Stage) -> None:
        """Make Adam over what the stage trains."""
        self.network.requires_grad_(stage.name == JOINT)
        cast(YNet, self.network).segmentation.requires_grad_(True)
        super().begin(stage)

    def values(self, stage: Stage, epoch: int) -> dict[str, float]:
        """The weight of the classification loss, once there is one."""
        return super().values(stage, epoch) if stage.name == JOINT else {}

    def forward(self, images: Tensor, stage: Stage) -> NetworkOutput:
        """The masks alone, then masks and classes."""
        if stage.name == JOINT:
            return super().forward(images, stage)
        mask_logits, _ = cast(YNet, self.network).segmentation(images)
        return NetworkOutput(mask_logits=mask_logits)
