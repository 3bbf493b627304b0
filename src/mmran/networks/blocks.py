"""Building blocks that several networks share.

Convolutions have a bias unless they say otherwise, also before batch normalization where it does nothing: the
parameter counts of the paper's Table 3 include them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmran.errors import UserError


def scaled(channels: int, width: float) -> int:
    """Channels at a width multiplier: the nearest multiple of 4, and at least 4.

    Of 4, since the four kernel sizes of the multiscale module share them.

    Args:
        channels: at full width.
        width: multiplier, 1.0 is the network as published.

    Raises:
        UserError: width is not a positive number.
    """
    if not isinstance(width, int | float) or isinstance(width, bool) or not 0 < width < float("inf"):
        raise UserError(f"network option width: {width!r} is not a positive number; 1.0 is the published network")
    return max(4, 4 * round(channels * width / 4))


def check_images(images: Tensor, stride: int) -> None:
    """Refuse what the network cannot halve and double without a remainder.

    Args:
        images: (B, 1, H, W).
        stride: H and W must be multiples of it.

    Raises:
        ValueError: another number of dimensions or channels, or a size that stride does not divide.
    """
    if images.ndim != 4 or images.shape[1] != 1:
        raise ValueError(f"images of shape {tuple(images.shape)}: expected (batch, 1, height, width)")
    height, width = images.shape[-2:]
    if height % stride or width % stride:
        raise ValueError(
            f"images of {height} x {width} pixels: both must be divisible by the network's stride of "
            f"{stride}; pad them to the next multiple and crop the mask"
        )


def start_at(layer: nn.Module, logit: float) -> None:
    """Set the bias of a mask head so that its logit starts near a given value.

    The weights stay as torch draws them. One channel takes the logit itself; with two, background and tumor, the
    difference of their biases is the logit.

    Source: Lin et al. 2017, section 3.3.

    Args:
        layer: the last convolution, of one or two channels.
        logit: log-odds of the tumor.
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

    A strided one is computed on a CPU as one of stride 1 on the pixels that count: torch's own, on several threads,
    writes beyond its memory in the backward pass where C is not a multiple of 16 (torch 2.13, float32, weights in
    channels-last order).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x."""
        step = self.stride[0]
        if x.device.type != "cpu" or step == 1:
            return super().forward(x)
        return functional.conv2d(x[:, :, ::step, ::step], self.weight, self.bias)


class DepthwiseConv2d(nn.Conv2d):
    """A convolution of each channel by itself, without bias. (B, C, H, W) -> (B, C, H', W').

    A dilated one is computed on a CPU as the same convolution with zeros between the weights: torch's own gives wrong
    gradients in bfloat16 for maps in channels-last order (torch 2.13).

    Args:
        channels: C.
        kernel: side in pixels.
        stride, padding, dilation: as for `torch.nn.Conv2d`.
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
    """ReLU(body(x) + shortcut(x)), the shortcut a 1 x 1 convolution without bias and batch normalization.

    The body therefore ends before its last ReLU. (B, in, H, W) -> (B, out, H, W).

    Source: Eq. 10, Fig. 4. Shortcut and final ReLU, which the paper leaves open: He et al. 2016.
    """

    def __init__(self, in_channels: int, out_channels: int, body: Sequence[nn.Module]):
        super().__init__()
        self.body = nn.Sequential(*body)
        self.shortcut = nn.Sequential(*conv_bn(in_channels, out_channels, kernel=1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Add the shortcut and rectify."""
        return torch.relu(self.body(x) + self.shortcut(x))


def double_conv(in_channels: int, out_channels: int, residual: bool = False) -> nn.Module:
    """Two 3 x 3 convolutional modules, with a shortcut around both if asked.

    Source: Ronneberger et al. 2015; residual: Xiao et al. 2018.
    """
    first = conv_block(in_channels, out_channels)
    if residual:
        return Residual(in_channels, out_channels, [*first, *conv_bn(out_channels, out_channels)])
    return nn.Sequential(*first, *conv_block(out_channels, out_channels))


class UpStage(nn.Module):
    """Double the size by a transposed convolution, put the skip connection beside it, convolve twice.

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


class SpatialPyramidPooling(nn.Module):
    """Maximum over an n x n grid of bins for each level n: a vector of one length for any size.

    (B, C, H, W) -> (B, C * sum of n^2), ordered by level, then channel, then bin.
    Bins are fixed windows where n divides the size; elsewhere bin i spans floor(i H/n) to ceil((i+1) H/n), so
    that none is empty even on a map smaller than the grid. Both are maxima over slices: adaptive max pooling
    would do the same without a deterministic backward pass on CUDA.

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
