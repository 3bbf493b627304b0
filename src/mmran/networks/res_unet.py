"""Res U-Net: a U-Net whose every pair of convolutions has a shortcut around it."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from mmran.networks.blocks import UpStage, check_images, double_conv, scaled, start_at
from mmran.networks.output import Network, NetworkOutput


class ResUNet(Network):
    """U-Net of five levels with residual double convolutions in encoder and decoder.

    (B, 1, H, W) -> mask_logits (B, 1, H, W), for any H and W divisible by 16. 32,440,961 parameters.

    Source: Xiao et al. 2018.
    Deviates: Table 3 prints 31.48 million, which no variant of this drawing has: without any shortcut it is
    31.04 million, with shortcuts in the encoder alone 31.74.

    Args:
        width: channel multiplier; 1.0 is the published network.

    Raises:
        UserError: width is not a positive number.
    """

    stride = 16
    tasks = ("segmentation",)
    recipe = "mmran.training.multitask:Multitask"

    def __init__(self, *, width: float = 1.0):
        super().__init__()
        channels = [scaled(n, width) for n in (64, 128, 256, 512, 1024)]
        *shared, deepest = channels

        self.encoder = nn.ModuleList(
            double_conv(before, after, residual=True) for before, after in pairwise([1, *shared])
        )
        self.bottleneck = double_conv(shared[-1], deepest, residual=True)
        self.decoder = nn.ModuleList(UpStage(deep, skip, residual=True) for deep, skip in pairwise(reversed(channels)))
        self.mask_head = nn.Conv2d(channels[0], 1, kernel_size=1)

    def forward(self, images: Tensor) -> NetworkOutput:
        """Segment.

        Args:
            images: (B, 1, H, W), 0..1.

        Raises:
            ValueError: H or W is not divisible by 16.
        """
        check_images(images, self.stride)
        x, skips = images, []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        x = self.bottleneck(x)  # (B, 1024, H/16, W/16)
        for stage, skip in zip(self.decoder, reversed(skips), strict=True):
            x = stage(x, skip)
        return NetworkOutput(mask_logits=self.mask_head(x))

    def start_masks(self, logit: float) -> None:
        """Set the mask head's bias."""
        start_at(self.mask_head, logit)
