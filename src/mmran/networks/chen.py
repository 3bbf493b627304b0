"""Chen et al. 2019: a U-Net on the VGG-16 encoder with a class head in its middle and another at its end."""

import math

import torch
from torch import Tensor, nn

from mmran.networks.blocks import scaled
from mmran.networks.output import NetworkOutput
from mmran.networks.unet import UNet


class Chen(UNet):
    """Multitask U-Net with two class heads, each trained on its own loss; prediction averages their logits.

    (B, C, H, W) -> mask_logits (B, 1, H, W), class_logits (B, K), auxiliary: middle and last head (B, K) each,
    for any H and W divisible by 32. 32,202,055 parameters; 32,212,231 with batch normalization.

    Source: Chen et al. 2019, the network on VGG-16 without batch normalization, or its variant with it.
    Deviates: Table 3 prints 40.03 million, which no variant of the authors' released code has. They start from
    ImageNet weights, which the paper does not mention. Without batch normalization, torch's default initialization
    makes the signal vanish, so weights follow He et al. 2015. The first convolution takes the gray image once, not
    three times, which saves 1,152 parameters. Their last head takes the maxima of five mask channels; with one mask
    channel here, it takes those of the features before it.

    Args:
        width: channel multiplier; 1.0 is the published network.
        batch_norm: normalize after the encoder's convolutions and the transposed ones, as a variant in the authors'
            code does. Without it and without ImageNet weights, a short training of a narrow network learns nothing.
        n_classes: number of classes, K.
        channels: C, channels of the images.

    Raises:
        UserError: width is not a positive number.
    """

    stride = 32
    tasks = ("segmentation", "classification")
    recipe = "mmran.training.multitask:Multitask"

    def __init__(self, *, width: float = 1.0, batch_norm: bool = False, n_classes: int = 3, channels: int = 1):
        c32, c64, c128, c256, c512 = (scaled(n, width) for n in (32, 64, 128, 256, 512))
        super().__init__(
            encoder=[
                convs(channels, c64, 2, batch_norm),
                convs(c64, c128, 2, batch_norm),
                convs(c128, c256, 3, batch_norm),
                convs(c256, c512, 3, batch_norm),
                convs(c512, c512, 3, batch_norm),
            ],
            bottleneck=conv_up(c512, c512, c256, batch_norm),
            decoder=[
                Merge(*conv_up(c256 + c512, c512, c256, batch_norm)),
                Merge(*conv_up(c256 + c512, c512, c256, batch_norm)),
                Merge(*conv_up(c256 + c256, c256, c64, batch_norm)),
                Merge(*conv_up(c64 + c128, c128, c32, batch_norm)),
                Merge(*convs(c32 + c64, c32, 1)),
            ],
        )
        self.channels = channels
        initialize(self)
        self.mask_head = nn.Conv2d(c32, 1, kernel_size=1)
        self.middle_head = nn.Conv2d(c256, n_classes, kernel_size=1)
        self.last_head = nn.Linear(c32, n_classes)

    def forward(self, images: Tensor) -> NetworkOutput:
        """Segment and classify."""
        deepest, finest = self.walk(images)  # (B, 256, H/16, W/16) and (B, 32, H, W)
        middle = self.middle_head(deepest).mean(dim=(2, 3))
        last = self.last_head(finest.amax(dim=(2, 3)))
        return NetworkOutput(self.mask_head(finest), (middle + last) / 2, (middle, last))


class Merge(nn.Sequential):
    """Layers that run on a map and a skip connection, concatenated."""

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:  # type: ignore[override]  # takes two maps
        """(B, in, H, W) and (B, skip, H, W) to what the layers make of both."""
        merged: Tensor = super().forward(torch.cat([x, skip], dim=1))  # type: ignore[no-untyped-call]
        return merged


def convs(in_channels: int, out_channels: int, n: int, batch_norm: bool = False) -> nn.Sequential:
    """n 3 x 3 convolutions, a ReLU after each: (B, in, H, W) -> (B, out, H, W).

    Source: Simonyan and Zisserman 2015.
    """
    layers: list[nn.Module] = []
    for i in range(n):
        convolution = nn.Conv2d(out_channels if i else in_channels, out_channels, 3, padding=1)
        layers += rectified(convolution, out_channels, batch_norm)
    return nn.Sequential(*layers)


def conv_up(in_channels: int, middle_channels: int, out_channels: int, batch_norm: bool = False) -> nn.Sequential:
    """A convolution, then a transposed one that doubles the size: (B, in, H, W) -> (B, out, 2H, 2W)."""
    transposed = nn.ConvTranspose2d(middle_channels, out_channels, kernel_size=4, stride=2, padding=1)
    return nn.Sequential(
        *convs(in_channels, middle_channels, 1),
        *rectified(transposed, out_channels, batch_norm),
    )


def rectified(convolution: nn.Module, channels: int, batch_norm: bool) -> list[nn.Module]:
    """A convolution, batch normalization if asked for, and a ReLU."""
    return [convolution, *([nn.BatchNorm2d(channels)] if batch_norm else []), nn.ReLU(inplace=True)]


def initialize(network: nn.Module) -> None:
    """Draw the weights of convolutions before a ReLU so that they preserve variance; biases start at 0.

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
