"""Xception in the two forms of MB-DCNN: a segmentation backbone, and features for classification."""

from itertools import pairwise

from torch import Tensor, nn

from mmran.networks.blocks import DepthwiseConv2d, conv_block, conv_bn, scaled


def separable_conv(
    in_channels: int, out_channels: int, *, stride: int = 1, dilation: int = 1, inner: tuple[nn.Module, ...] = ()
) -> list[nn.Module]:
    """Depthwise 3 x 3 convolution, pointwise convolution, batch normalization; no bias.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        stride: of the depthwise convolution.
        dilation: of the depthwise convolution.
        inner: layers between the two convolutions.
    """
    return [
        DepthwiseConv2d(in_channels, 3, stride, padding=dilation, dilation=dilation),
        *inner,
        *conv_bn(in_channels, out_channels, kernel=1, bias=False),
    ]


def _normed_conv(in_channels: int, out_channels: int, stride: int = 1) -> list[nn.Module]:
    """ReLU and a separable convolution with an inner batch normalization: the layer of Xception-65."""
    # Not in place: the shortcut and the decoder read the input of this ReLU.
    inner = (nn.BatchNorm2d(in_channels),)
    return [nn.ReLU(), *separable_conv(in_channels, out_channels, stride=stride, inner=inner)]


def _rectified_conv(in_channels: int, out_channels: int) -> list[nn.Module]:
    """A separable convolution with ReLU after each batch normalization: the last layers of Xception-65."""
    inner = (nn.BatchNorm2d(in_channels), nn.ReLU(inplace=True))
    return [*separable_conv(in_channels, out_channels, inner=inner), nn.ReLU(inplace=True)]


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(*conv_bn(in_channels, out_channels, 1, stride, bias=False))


class Xception65Block(nn.Module):
    """Three separable convolutions plus a shortcut: (B, in, H, W) -> (B, out, H/stride, W/stride).

    Args:
        in_channels: of the input.
        out_channels: of the output.
        stride: of the third convolution and the shortcut.
        late: the second convolution changes the channels, instead of the first.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, late: bool = False):
        super().__init__()
        middle = in_channels if late else out_channels
        self.widening = nn.Sequential(*_normed_conv(in_channels, middle), *_normed_conv(middle, out_channels))
        self.last = nn.Sequential(*_normed_conv(out_channels, out_channels, stride))
        self.shortcut = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and add the shortcut."""
        return self.last(self.widening(x)) + self.shortcut(x)


class Xception65(nn.Module):
    """The backbone of DeepLabv3+ at output stride 16: (B, C, H, W) -> (B, 2048, H/16, W/16).

    Source: Chen et al. 2018; Xie et al. 2020.
    Deviates: Xie et al.'s released code rectifies in place, so that its identity shortcuts carry the rectified input.
    Here they carry the input, as published.

    Args:
        in_channels: C.
        width: channel multiplier.
    """

    def __init__(self, in_channels: int, *, width: float = 1.0):
        super().__init__()
        c32, c64, c128, c256, c728 = (scaled(n, width) for n in (32, 64, 128, 256, 728))
        c1024, c1536, c2048 = (scaled(n, width) for n in (1024, 1536, 2048))
        self.shallow_channels, self.channels = c256, c2048

        self.stem = nn.Sequential(
            *conv_block(in_channels, c32, stride=2, bias=False), *conv_block(c32, c64, bias=False)
        )
        self.entry1 = Xception65Block(c64, c128, stride=2)
        self.entry2 = Xception65Block(c128, c256, stride=2)
        self.entry3 = Xception65Block(c256, c728, stride=2)
        self.middle = nn.Sequential(*(Xception65Block(c728, c728) for _ in range(16)))
        self.exit = nn.Sequential(
            Xception65Block(c728, c1024, late=True),
            *_rectified_conv(c1024, c1536),
            *_rectified_conv(c1536, c1536),
            *_rectified_conv(c1536, c2048),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images to deep maps."""
        return self.shallow_and_deep(x)[1]

    def shallow_and_deep(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images to the maps (B, 256, H/4, W/4) before the second block's stride, and to deep maps."""
        x = self.entry1(self.stem(x))
        shallow = self.entry2.widening(x)
        x = self.entry2.last(shallow) + self.entry2.shortcut(x)
        return shallow, self.exit(self.middle(self.entry3(x)))


class XceptionBlock(nn.Module):
    """Separable convolutions, each after a ReLU, max pooling if strided, plus a shortcut.

    (B, in, H, W) -> (B, out, ceil(H/stride), ceil(W/stride)).

    Args:
        in_channels: of the input.
        out_channels: of every convolution.
        convs: number of convolutions.
        stride: 1 or 2.
    """

    def __init__(self, in_channels: int, out_channels: int, convs: int, stride: int = 1):
        super().__init__()
        widths = [in_channels, *[out_channels] * convs]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.ReLU(), *separable_conv(before, after)]
        if stride != 1:
            layers.append(nn.MaxPool2d(3, stride, padding=1))
        self.body = nn.Sequential(*layers)
        self.shortcut = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and add the shortcut."""
        return self.body(x) + self.shortcut(x)


class XceptionFeatures(nn.Module):
    """Xception for classification, with dilated last layers: (B, C, H, W) -> (B, 2048, H/16, W/16).

    For multiples of 16, the unpadded stem does not change the size of the output.

    Source: Chollet 2017; Xie et al. 2020.
    Deviates: as `Xception65`.

    Args:
        in_channels: C.
        width: channel multiplier.
    """

    def __init__(self, in_channels: int, *, width: float = 1.0):
        super().__init__()
        c32, c64, c128, c256, c728 = (scaled(n, width) for n in (32, 64, 128, 256, 728))
        c1024, c1536, self.channels = (scaled(n, width) for n in (1024, 1536, 2048))

        self.stem = nn.Sequential(
            *_unpadded(in_channels, c32, stride=2),
            *_unpadded(c32, c64),
            XceptionBlock(c64, c128, convs=2, stride=2),
            XceptionBlock(c128, c256, convs=2, stride=2),
            XceptionBlock(c256, c728, convs=2, stride=2),
            *(XceptionBlock(c728, c728, convs=3) for _ in range(8)),
        )
        self.body = nn.Sequential(*(nn.ReLU(), *separable_conv(c728, c728)), *(nn.ReLU(), *separable_conv(c728, c1024)))
        self.shortcut = _shortcut(c728, c1024, stride=1)
        self.exit = nn.Sequential(
            *(*separable_conv(c1024, c1536, dilation=2), nn.ReLU(inplace=True)),
            *(*separable_conv(c1536, self.channels, dilation=2), nn.ReLU(inplace=True)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images to deep maps."""
        x = self.stem(x)
        return self.exit(self.body(x) + self.shortcut(x))


def _unpadded(in_channels: int, out_channels: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, out_channels, 3, stride, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]
