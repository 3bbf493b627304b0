"""Chen et al.: a U-Net on the VGG-16 encoder with a class head in its middle and another at its end."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmran.networks.blocks import check_images, scaled, start_at
from mmran.networks.output import N_CLASSES, Network, NetworkOutput


class Chen(Network):
    """Multitask U-Net; its two class heads are trained each by itself, and their logits are averaged.

    (B, 1, H, W) -> mask_logits (B, 1, H, W), class_logits (B, 3), auxiliary: middle and last head (B, 3) each,
    for any H and W divisible by 32. 32,202,055 parameters.

    Source: Chen et al. 2019, their network on VGG-16 without batch normalization.
    Deviates: Table 3 prints 40.03 million, which no variant of the authors' released code has. They start from
    weights of ImageNet, of which the paper says nothing; without batch normalization, weights drawn as torch does
    by default would let the signal die out on its way, so they are drawn as He et al. 2015. The first convolution
    takes the grey image once, not three times over, which would add 1,152 parameters. Their last head takes the
    maxima of five mask channels; there is one here, so it takes those of the features before it.

    Args:
        width: channel multiplier; 1.0 is the published network.

    Raises:
        UserError: width is not a positive number.
    """

    stride = 32
    tasks = ("segmentation", "classification")
    recipe = "mmran.training.multitask:Multitask"

    def __init__(self, *, width: float = 1.0):
        super().__init__()
        c32, c64, c128, c256, c512 = (scaled(n, width) for n in (32, 64, 128, 256, 512))

        self.encoder = nn.ModuleList(
            [
                convs(1, c64, 2),
                convs(c64, c128, 2),
                convs(c128, c256, 3),
                convs(c256, c512, 3),
                convs(c512, c512, 3),
            ]
        )
        self.center = decoder_block(c512, c512, c256)
        self.decoder = nn.ModuleList(
            [
                decoder_block(c256 + c512, c512, c256),
                decoder_block(c256 + c512, c512, c256),
                decoder_block(c256 + c256, c256, c64),
                decoder_block(c64 + c128, c128, c32),
                convs(c32 + c64, c32, 1),
            ]
        )
        self.mask_head = nn.Conv2d(c32, 1, kernel_size=1)
        self.middle_head = nn.Conv2d(c256, N_CLASSES, kernel_size=1)
        self.last_head = nn.Linear(c32, N_CLASSES)
        draw_weights(nn.ModuleList([self.encoder, self.center, self.decoder]))

    def forward(self, images: Tensor) -> NetworkOutput:
        """Segment and classify.

        Args:
            images: (B, 1, H, W), 0..1.

        Raises:
            ValueError: H or W is not divisible by 32.
        """
        check_images(images, self.stride)
        x, skips = images, []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        x = self.center(x)  # (B, 256, H/16, W/16)
        middle = self.middle_head(x).mean(dim=(2, 3))
        for stage, skip in zip(self.decoder, reversed(skips), strict=True):
            x = stage(torch.cat([x, skip], dim=1))
        last = self.last_head(x.amax(dim=(2, 3)))
        return NetworkOutput(self.mask_head(x), (middle + last) / 2, (middle, last))

    def start_masks(self, logit: float) -> None:
        """Set the mask head's bias."""
        start_at(self.mask_head, logit)


def convs(in_channels: int, out_channels: int, n: int) -> nn.Sequential:
    """n times a 3 x 3 convolution and ReLU: (B, in, H, W) -> (B, out, H, W).

    Source: Simonyan and Zisserman 2015.
    """
    layers: list[nn.Module] = []
    for i in range(n):
        layers += [nn.Conv2d(out_channels if i else in_channels, out_channels, 3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def decoder_block(in_channels: int, middle_channels: int, out_channels: int) -> nn.Sequential:
    """A convolution, and a transposed one that doubles the size: (B, in, H, W) -> (B, out, 2H, 2W)."""
    return nn.Sequential(
        *convs(in_channels, middle_channels, 1),
        nn.ConvTranspose2d(middle_channels, out_channels, kernel_size=4, stride=2, padding=1),
        nn.ReLU(inplace=True),
    )


def draw_weights(network: nn.Module) -> None:
    """Draw convolutions before a ReLU so that they keep the variance of what passes; biases are 0.

    Source: He et al. 2015. A transposed convolution of stride s has 1/s^2 of its kernel under each output pixel.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            n_in = layer.in_channels * math.prod(layer.kernel_size)
            if isinstance(layer, nn.ConvTranspose2d):
                n_in //= math.prod(layer.stride)
            nn.init.normal_(layer.weight, std=math.sqrt(2 / n_in))
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
