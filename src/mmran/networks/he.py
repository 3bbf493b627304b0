"""He et al. 2020: a multitask network, DenseNet-201 with a decoder that feeds both heads."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from mmran.networks.blocks import as_color, color_channels, conv_block, scaled, start_at
from mmran.networks.output import Network, NetworkOutput
from mmran.networks.resize import resize_bilinear

DEPTHS = (6, 12, 48, 32)
"""Dense layers in each of the four blocks of DenseNet-201."""


def norm_relu_conv(in_channels: int, out_channels: int, kernel: int = 1, bias: bool = False) -> list[nn.Module]:
    """Batch normalization, ReLU and a convolution that keeps the size: the order of a DenseNet."""
    return [
        nn.BatchNorm2d(in_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=bias),
    ]


class DenseLayer(nn.Module):
    """Concatenate `growth` new maps to the input: (B, in, H, W) -> (B, in + growth, H, W).

    Source: Huang et al. 2017.
    """

    def __init__(self, in_channels: int, growth: int):
        super().__init__()
        self.body = nn.Sequential(
            *norm_relu_conv(in_channels, 4 * growth), *norm_relu_conv(4 * growth, growth, kernel=3)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute new maps and concatenate them."""
        return torch.cat([x, self.body(x)], dim=1)


class DenseNet201Features(nn.Module):
    """DenseNet-201 without its classifier, tapped at the end of each block.

    (B, C, H, W) -> 256 maps at 1/4, 512 at 1/8, 1792 at 1/16 and 1920 at 1/32 of the size.

    Source: Huang et al. 2017. The last batch normalization is left out, as in He et al.'s released code, whose decoder
    starts with one.

    Args:
        width: channel multiplier.
        in_channels: C.
    """

    def __init__(self, width: float = 1.0, in_channels: int = 3):
        super().__init__()
        channels, growth = scaled(64, width), scaled(32, width)
        self.channels: list[int] = []
        self.stages = nn.ModuleList()
        entrance = [*conv_block(in_channels, channels, 7, stride=2, bias=False), nn.MaxPool2d(3, stride=2, padding=1)]
        for depth in DEPTHS:
            layers = [DenseLayer(channels + i * growth, growth) for i in range(depth)]
            self.stages.append(nn.Sequential(*entrance, *layers))
            self.channels.append(channels + depth * growth)
            channels = self.channels[-1] // 2
            if len(self.stages) < len(DEPTHS):
                entrance = [*norm_relu_conv(self.channels[-1], channels), nn.AvgPool2d(2)]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Images to maps, shallow to deep."""
        taps = []
        for stage in self.stages:
            x = stage(x)
            taps.append(x)
        return taps


class DenseUpStage(nn.Module):
    """Upsample to the skip connection's size, concatenate it, mix, and add one dense layer.

    (B, in, h, w) and (B, skip, H, W) -> (B, out + growth, H, W).

    Source: He et al. 2020.

    Args:
        in_channels: of the upsampled map and the skip connection together.
        out_channels: after mixing.
        growth: maps of the dense layer.
    """

    def __init__(self, in_channels: int, out_channels: int, growth: int):
        super().__init__()
        self.convs = nn.Sequential(
            *norm_relu_conv(in_channels, out_channels, bias=True), DenseLayer(out_channels, growth)
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Upsample x and merge it with skip."""
        return self.convs(torch.cat([resize_bilinear(x, _size(skip)), skip], dim=1))


class DenseNetMultitask(Network):
    """A dense encoder and a decoder; the mask head and the class head share the decoder's last map.

    23,668,260 parameters (Table 3: 23.43 million). (B, C, H, W) -> mask_logits (B, 1, H, W),
    class_logits (B, K), for any H and W divisible by 32.

    Source: He et al. 2020.
    Deviates: the count differs from Table 3's, which does not state the encoder; with the authors' four labels and two
    mask channels this network has 23,668,774. Their weights for labels that depend on one another are the identity for
    one tumor per image, so the class loss is the plain one. They align corners when upsampling.

    Args:
        width: channel multiplier; 1.0 is the published network.
        n_classes: number of classes, K.
        channels: C, channels of the images.
    """

    stride = 32
    tasks = ("segmentation", "classification")
    recipe = "mmran.training.multitask:Multitask"

    def __init__(self, *, width: float = 1.0, n_classes: int = 3, channels: int = 1):
        super().__init__()
        self.channels = channels
        growth, last = scaled(48, width), scaled(256, width)
        self.encoder = DenseNet201Features(width, color_channels(channels))
        *skips, deepest = self.encoder.channels
        mixed = [scaled(n, width) for n in (1024, 512, 256)]
        incoming = [deepest, *(n + growth for n in mixed)]
        self.decoder = nn.ModuleList(
            DenseUpStage(below + skip, out, growth)
            for below, skip, out in zip(incoming, reversed(skips), mixed, strict=False)
        )
        self.enlarging = nn.ModuleList(
            nn.Sequential(*norm_relu_conv(before, after)) for before, after in pairwise([incoming[-1], last, last])
        )
        self.mask_head = nn.Sequential(*norm_relu_conv(last, 1, bias=True))
        self.class_head = nn.Sequential(*norm_relu_conv(last, n_classes, bias=True))

    def forward(self, images: Tensor) -> NetworkOutput:
        """Segment and classify."""
        *skips, x = self.encoder(as_color(images))
        for stage, skip in zip(self.decoder, reversed(skips), strict=True):
            x = stage(x, skip)
        for convs in self.enlarging:
            x = convs(x)
            x = resize_bilinear(x, (2 * x.shape[2], 2 * x.shape[3]))  # (B, 256, H, W) in the end
        return NetworkOutput(self.mask_head(x), self.class_head(x).mean(dim=(2, 3)))

    def start_masks(self, logit: float) -> None:
        """Set the mask head's bias."""
        start_at(self.mask_head[-1], logit)


def _size(x: Tensor) -> tuple[int, int]:
    return x.shape[2], x.shape[3]
