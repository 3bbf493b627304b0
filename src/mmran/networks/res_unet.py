"""Res U-Net: a U-Net with a shortcut around every pair of convolutions."""

from itertools import pairwise

from torch import Tensor, nn

from mmran.networks.blocks import double_conv, scaled
from mmran.networks.output import NetworkOutput
from mmran.networks.unet import UNet, UpStage


class ResUNet(UNet):
    """U-Net of five levels with residual double convolutions in encoder and decoder.

    (B, C, H, W) -> mask_logits (B, 1, H, W), for any H and W divisible by 16. 32,440,961 parameters.

    Source: Xiao et al. 2018.
    Deviates: Table 3 prints 31.48 million, which no variant of the drawing has: 31.04 million without shortcuts,
    31.74 with shortcuts only in the encoder.

    Args:
        width: channel multiplier; 1.0 is the published network.
        channels: C, channels of the images.

    Raises:
        UserError: width is not a positive number.
    """

    stride = 16
    tasks = ("segmentation",)
    recipe = "mmran.training.multitask:Multitask"

    def __init__(self, *, width: float = 1.0, channels: int = 1):
        levels = [scaled(n, width) for n in (64, 128, 256, 512, 1024)]
        *shared, deepest = levels
        super().__init__(
            encoder=(double_conv(before, after, residual=True) for before, after in pairwise([channels, *shared])),
            bottleneck=double_conv(shared[-1], deepest, residual=True),
            decoder=(UpStage(deep, skip, residual=True) for deep, skip in pairwise(reversed(levels))),
        )
        self.channels = channels
        self.mask_head = nn.Conv2d(levels[0], 1, kernel_size=1)

    def forward(self, images: Tensor) -> NetworkOutput:
        """Segment."""
        _, finest = self.walk(images)
        return NetworkOutput(mask_logits=self.mask_head(finest))
