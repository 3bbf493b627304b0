"""ResNet-50: a classifier, and features for networks that build on it."""

from torch import Tensor, nn

from mmran.networks.blocks import conv_block, conv_bn, scaled
from mmran.networks.output import Network, NetworkOutput

DEPTHS = (3, 4, 6, 3)
"""Bottlenecks in each of the four stages."""

EXPANSION = 4
"""Output channels of a bottleneck per channel of its 3 x 3 convolution."""


class Bottleneck(nn.Module):
    """Three convolutions, 1 x 1, 3 x 3 and 1 x 1 with four times the channels, plus a shortcut; ReLU.

    (B, in, H, W) -> (B, 4 channels, H/stride, W/stride). The 3 x 3 convolution carries the stride ("v1.5").

    Source: He et al. 2016.

    Args:
        in_channels: of the input.
        channels: of the 3 x 3 convolution.
        stride: of the 3 x 3 convolution and the shortcut.
        dilation: of the 3 x 3 convolution.
        bias: of the convolutions.
    """

    def __init__(self, in_channels: int, channels: int, stride: int = 1, dilation: int = 1, bias: bool = True):
        super().__init__()
        out_channels = EXPANSION * channels
        self.body = nn.Sequential(
            *conv_block(in_channels, channels, 1, bias=bias),
            nn.Conv2d(channels, channels, 3, stride, padding=dilation, dilation=dilation, bias=bias),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            *conv_bn(channels, out_channels, 1, bias=bias),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(*conv_bn(in_channels, out_channels, 1, stride, bias))

    def forward(self, x: Tensor) -> Tensor:
        """Add the shortcut and rectify."""
        return (self.body(x) + self.shortcut(x)).relu_()


class ResNet50Features(nn.Module):
    """ResNet-50 without its classifier: (B, C, H, W) -> (B, 2048, H/32, W/32), or /16 at output stride 16.

    Source: He et al. 2016; output stride 16, by dilation of the last stage: Chen et al. 2017.

    Args:
        in_channels: C.
        width: channel multiplier.
        bias: of the convolutions.
        output_stride: 32 or 16.
    """

    def __init__(self, in_channels: int, *, width: float = 1.0, bias: bool = True, output_stride: int = 32):
        super().__init__()
        stem, *inner = (scaled(n, width) for n in (64, 64, 128, 256, 512))
        self.shallow_channels, self.channels = EXPANSION * inner[0], EXPANSION * inner[-1]
        last_stride, last_dilation = {32: (2, 1), 16: (1, 2)}[output_stride]

        self.stem = nn.Sequential(
            *conv_block(in_channels, stem, 7, stride=2, bias=bias), nn.MaxPool2d(3, stride=2, padding=1)
        )
        self.stage1 = _stage(DEPTHS[0], stem, inner[0], bias)
        self.stage2 = _stage(DEPTHS[1], EXPANSION * inner[0], inner[1], bias, stride=2)
        self.stage3 = _stage(DEPTHS[2], EXPANSION * inner[1], inner[2], bias, stride=2)
        self.stage4 = _stage(DEPTHS[3], EXPANSION * inner[2], inner[3], bias, last_stride, last_dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Images to deep maps."""
        return self.shallow_and_deep(x)[1]

    def shallow_and_deep(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images to the maps (B, 256, H/4, W/4) after the first stage, and to deep maps."""
        shallow = self.stage1(self.stem(x))
        return shallow, self.stage4(self.stage3(self.stage2(shallow)))


def _stage(
    depth: int, in_channels: int, channels: int, bias: bool, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        Bottleneck(in_channels, channels, stride, dilation, bias),
        *(Bottleneck(EXPANSION * channels, channels, 1, dilation, bias) for _ in range(depth - 1)),
    )


class ResNet50(Network):
    """Features, global average pooling, one linear layer: 23,534,467 parameters (Table 3: 23.53 million).

    (B, C, H, W) -> class_logits (B, K), for any H and W divisible by 32.

    Source: He et al. 2016.
    Deviates: convolutions have a bias and the stem takes one gray channel, which together give the count of Table 3;
    the authors have no bias and three channels.

    Args:
        width: channel multiplier; 1.0 is the published network.
        n_classes: number of classes, K.
        channels: C, channels of the images.
    """

    stride = 32
    tasks = ("classification",)
    recipe = "mmran.training.multitask:Multitask"

    def __init__(self, *, width: float = 1.0, n_classes: int = 3, channels: int = 1):
        super().__init__()
        self.channels = channels
        self.features = ResNet50Features(channels, width=width)
        self.class_head = nn.Linear(self.features.channels, n_classes)

    def forward(self, images: Tensor) -> NetworkOutput:
        """Classify."""
        return NetworkOutput(class_logits=self.class_head(self.features(images).mean(dim=(2, 3))))
