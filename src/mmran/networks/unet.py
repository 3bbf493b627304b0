"""One pass through a U-Net: down an encoder, through a bottleneck, and up a decoder along the skip connections."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmran.networks.blocks import double_conv, start_at
from mmran.networks.output import Network


class UNet(Network):
    """Base of networks around a U-Net, which add their heads.

    Source: Ronneberger et al. 2015.

    Attributes:
        mask_head: 1 x 1 convolution from the last map to the mask logit; the subclass makes it.

    Args:
        encoder: stages (B, in, H, W) -> (B, out, H, W), shallow to deep; a 2 x 2 maximum follows each.
        bottleneck: what follows the last maximum.
        decoder: stages that merge a map with a skip connection, deep to shallow.
    """

    def __init__(self, encoder: Iterable[nn.Module], bottleneck: nn.Module, decoder: Iterable[nn.Module]):
        super().__init__()
        self.encoder = nn.ModuleList(encoder)
        self.bottleneck = bottleneck
        self.decoder = nn.ModuleList(decoder)
        self.mask_head: nn.Module

    def walk(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images to the map after the bottleneck, and to the last map of the decoder, at the images' size."""
        x, skips = images, []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        deepest = x = self.bottleneck(x)
        for stage, skip in zip(self.decoder, reversed(skips), strict=True):
            x = stage(x, skip)
        return deepest, x

    def start_masks(self, logit: float) -> None:
        """Set the bias of the mask head."""
        start_at(self.mask_head, logit)


class UpStage(nn.Module):
    """Double the size by a transposed convolution, concatenate the skip connection, convolve twice.

    (B, in, H, W) and (B, skip, 2H, 2W) -> (B, skip, 2H, 2W).

    Source: section 3.1; Ronneberger et al. 2015.
    """

    def __init__(self, in_channels: int, skip_channels: int, residual: bool = False):
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, skip_channels, kernel_size=2, stride=2)
        self.convs = double_conv(2 * skip_channels, skip_channels, residual)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Upsample x and merge it with skip."""
        return self.convs(torch.cat([self.up(x), skip], dim=1))
