"""Resizing of feature maps with a backward pass that is deterministic on CUDA.

Interpolation and averaging are linear and separable: each is a product with two small matrices, one per axis.
Torch's own operations sum their gradients with atomics, in an order that differs from run to run.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Weights = Callable[[int, int, torch.device], Tensor]


def resize_bilinear(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Interpolate maps linearly to another size, larger or smaller.

    Equals `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)` up to rounding: pixel centers lie
    at half-integers, the edge value continues beyond the outermost centers, and shrinking does not average areas.

    Args:
        x: (B, C, H, W), any floating dtype.
        size: (height, width) in pixels.

    Returns:
        (B, C, height, width) in the memory format of x; in the autocast dtype under autocast, else in that of x.
    """
    return _resampled(x, size, linear_weights)


def pool_average(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Average maps over a grid of bins, which overlap where their number does not divide the size.

    Equals `torch.nn.functional.adaptive_avg_pool2d` up to rounding: bin i of n spans floor(i H / n) to
    ceil((i + 1) H / n).

    Args:
        x: (B, C, H, W), any floating dtype.
        size: (rows, columns) of bins.

    Returns:
        (B, C, rows, columns) in the memory format of x; in the autocast dtype under autocast, else in that of x.
    """
    return _resampled(x, size, bin_weights)


def linear_weights(n_in: int, n_out: int, device: torch.device) -> Tensor:
    """(n_out, n_in) float32, the weight of every input pixel in every output pixel; each row sums to 1."""
    centers = ((torch.arange(n_out, device=device) + 0.5) * (n_in / n_out) - 0.5).clamp(0, n_in - 1)
    distance = (centers[:, None] - torch.arange(n_in, device=device)).abs()
    return (1 - distance).clamp(min=0)


def bin_weights(n_in: int, n_out: int, device: torch.device) -> Tensor:
    """(n_out, n_in) float32, the weight of every input pixel in every bin; each row sums to 1."""
    bins, pixels = torch.arange(n_out, device=device), torch.arange(n_in, device=device)
    first = bins * n_in // n_out
    beyond = ((bins + 1) * n_in + n_out - 1) // n_out
    inside = (pixels >= first[:, None]) & (pixels < beyond[:, None])
    return inside / (beyond - first)[:, None]


def _resampled(x: Tensor, size: tuple[int, int], weights: Weights) -> Tensor:
    batch, channels, height, width = x.shape
    if (height, width) == tuple(size):
        return x
    if x.device.type == "meta":
        # Costs are counted here. Interpolation is not a convolution, and its products are an artifact of this module.
        return functional.interpolate(x, tuple(size))
    # In float32: bfloat16 cannot represent the positions of pixels beyond the 256th.
    rows = weights(height, size[0], x.device).to(x.dtype)
    columns = weights(width, size[1], x.device).to(x.dtype)
    if x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous():
        # The same two products on (B, H, W, C), which keep channels last without a copy.
        wide = columns @ x.permute(0, 2, 3, 1)  # (B, H, width, C)
        high = rows @ wide.reshape(batch, height, size[1] * channels)
        return high.view(batch, *size, channels).permute(0, 3, 1, 2)
    return rows @ (x @ columns.T)
