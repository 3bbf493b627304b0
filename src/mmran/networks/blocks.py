"""Building blocks that several networks share.

Convolutions have a bias unless they say otherwise. Batch normalization cancels it, but the parameter counts of the
paper's Table 3 include it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmran.errors import UserError


def scaled(channels: int, width: float) -> int:
    """Channels at a width multiplier: the nearest multiple of 4, at least 4.

    A multiple of 4, because the four kernel sizes of the multiscale module share them equally.

    Args:
        channels: at full width.
        width: multiplier; 1.0 is the published network.

    Raises:
        UserError: width is not a positive number.
    """
    if not isinstance(width, int | float) or isinstance(width, bool) or not 0 < width < float("inf"):
        raise UserError(f"network option width: {width!r} is not a positive number; 1.0 is the published network")
    return max(4, 4 * round(channels * width / 4))


def color_channels(channels: int) -> int:
    """Input channels of a network whose authors feed it color: three for a gray image, those of any other."""
    return 3 if channels == 1 else channels


def as_color(images: Tensor) -> Tensor:
    """A gray image three times, (B, 1, H, W) -> (B, 3, H, W); images of several channels as they are."""
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


def start_at(layer: nn.Module, logit: float) -> None:
    """Set the bias of a mask head so that the mask logit starts near a value.

    The weights keep torch's initialization. One channel takes the logit itself. With two, background and tumor, the
    difference of the biases is the logit.

    Source: Lin et al. 2017, section 3.3.

    Args:
        layer: the last convolution, of one or two channels.
        logit: log-odds of tumor.
    """
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    start = {1: [logit], 2: [-logit / 2, logit / 2]}[layer.out_channels]
    with torch.no_grad():
        layer.bias.copy_(torch.tensor(start))


def conv_bn(
    in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, bias: bool = True
) -> list[nn.Module]:
    """Convolution that keeps the size at stride 1, and batch normalization."""
    conv = PointwiseConv2d if kernel == 1 else nn.Conv2d
    return [
        conv(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=bias),
        nn.BatchNorm2d(out_channels),
    ]


def conv_block(
    in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, bias: bool = True
) -> list[nn.Module]:
    """The convolutional module: convolution, batch normalization, ReLU.

    Source: section 3.1.
    """
    return [*conv_bn(in_channels, out_channels, kernel, stride, bias), nn.ReLU(inplace=True)]


class PointwiseConv2d(nn.Conv2d):
    """A 1 x 1 convolution. (B, C, H, W) -> (B, C', ceil(H/stride), ceil(W/stride)).

    On a CPU, a strided one subsamples first and then convolves at stride 1. Torch's own backward pass writes out of
    bounds there if several threads run it and C is not a multiple of 16 (torch 2.13, float32, channels-last weights).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x."""
        step = self.stride[0]
        if x.device.type != "cpu" or step == 1:
            return super().forward(x)
        return functional.conv2d(x[:, :, ::step, ::step], self.weight, self.bias)


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution without bias. (B, C, H, W) -> (B, C, H', W').

    On a CPU, a dilated one convolves with zeros between the weights instead. Torch's own returns wrong gradients in
    bfloat16 for channels-last maps (torch 2.13).

    Args:
        channels: C.
        kernel: side in pixels.
        stride: as for `torch.nn.Conv2d`.
        padding: zeros on each side, in pixels.
        dilation: as for `torch.nn.Conv2d`.
    """

    def __init__(self, channels: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1):
        super().__init__(channels, channels, kernel, stride, padding, dilation=dilation, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x."""
        step = self.dilation[0]
        if x.device.type != "cpu" or step == 1:
            return super().forward(x)
        channels, _, side, _ = self.weight.shape
        spread = (side - 1) * step + 1
        weight = self.weight.new_zeros(channels, 1, spread, spread)
        weight[:, :, ::step, ::step] = self.weight
        return functional.conv2d(x, weight, stride=self.stride, padding=self.padding, groups=channels)


class Residual(nn.Module):
    """ReLU(body(x) + shortcut(x)): (B, in, H, W) -> (B, out, H, W).

    The shortcut is a 1 x 1 convolution without bias, then batch normalization. The body ends without a ReLU.

    Source: Eq. 10, Fig. 4. The paper leaves shortcut and final ReLU open; they follow He et al. 2016.
    """

    def __init__(self, in_channels: int, out_channels: int, body: Sequence[nn.Module]):
        super().__init__()
        self.body = nn.Sequential(*body)
        self.shortcut = nn.Sequential(*conv_bn(in_channels, out_channels, kernel=1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Add the shortcut and rectify."""
        return torch.relu(self.body(x) + self.shortcut(x))


def double_conv(in_channels: int, out_channels: int, residual: bool = False) -> nn.Module:
    """Two 3 x 3 convolutional modules, with a shortcut around both if `residual`.

    Source: Ronneberger et al. 2015; residual: Xiao et al. 2018.
    """
    first = conv_block(in_channels, out_channels)
    if residual:
        return Residual(in_channels, out_channels, [*first, *conv_bn(out_channels, out_channels)])
    return nn.Sequential(*first, *conv_block(out_channels, out_channels))


class SpatialPyramidPooling(nn.Module):
    """Maxima over an n x n grid of bins for each level n: the vector has one length for any image size.

    (B, C, H, W) -> (B, C * sum of n^2), ordered by level, then channel, then bin.

    Bins are fixed windows where n divides the size. Elsewhere bin i spans floor(i H/n) to ceil((i+1) H/n), so that
    no bin is empty, even on a map smaller than the grid. Adaptive max pooling computes the same, but its backward
    pass on CUDA is not deterministic.

    Source: section 3.1; He et al. 2015.

    Args:
        levels: grid sizes n.
    """

    def __init__(self, levels: Sequence[int]):
        super().__init__()
        self.levels = tuple(levels)

    @property
    def bins(self) -> int:
        """Values per channel."""
        return sum(level**2 for level in self.levels)

    def forward(self, x: Tensor) -> Tensor:
        """Pool at every level and concatenate."""
        return torch.cat([grid_max(x, level).flatten(1) for level in self.levels], dim=1)

    def extra_repr(self) -> str:
        """The levels, for print(network)."""
        return f"levels={self.levels}"


def grid_max(x: Tensor, n: int) -> Tensor:
    """Maximum in each of n x n bins: (B, C, H, W) -> (B, C, n, n)."""
    batch, channels, height, width = x.shape
    if height % n == 0 and width % n == 0:
        return x.reshape(batch, channels, n, height // n, n, width // n).amax(dim=(3, 5))
    bands = [x[:, :, top:bottom].amax(dim=2) for top, bottom in _bin_edges(height, n)]  # n of (B, C, W)
    rows = torch.stack(bands, dim=2)  # (B, C, n, W)
    return torch.stack([rows[..., left:right].amax(dim=3) for left, right in _bin_edges(width, n)], dim=3)


def _bin_edges(length: int, n: int) -> list[tuple[int, int]]:
    return [(i * length // n, -(-(i + 1) * length // n)) for i in range(n)]
