"""Resizing of feature maps with a backward pass that is deterministic on CUDA.

Interpolation and averaging are linear and separable: one small matrix from the left, one from the right.
Torch's own operations add up their gradient with atomics, in an order that differs from run to run.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Weights = Callable[[int, int, torch.device], Tensor]


def resize_bilinear(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Interpolate maps linearly to another size, larger or smaller.

    The same as `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)` but for rounding: pixel
    centres lie at half-integers, the edge holds beyond the outermost centres, and shrinking averages no areas.

    Args:
        x: (B, C, H, W), any floating dtype.
        size: (height, width) in pixels.

    Returns:
        (B, C, height, width); of the autocast's dtype under one, else of the dtype of x.
    """
    return _resampled(x, size, linear_weights)


def pool_average(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Average maps over a grid of bins, which overlap where their number does not divide the size.

    The same as `torch.nn.functional.adaptive_avg_pool2d` but for rounding: bin i of n spans floor(i H / n) to
    ceil((i + 1) H / n).

    Args:
        x: (B, C, H, W), any floating dtype.
        size: (rows, columns) of bins.

    Returns:
        (B, C, rows, columns); of the autocast's dtype under one, else of the dtype of x.
    """
    return _resampled(x, size, bin_weights)


def linear_weights(n_in: int, n_out: int, device: torch.device) -> Tensor:
    """(n_out, n_in) float32: the share of every input pixel in every output pixel; each row sums to one."""
    centres = ((torch.arange(n_out, device=device) + 0.5) * (n_in / n_out) - 0.5).clamp(0, n_in - 1)
    distance = (centres[:, None] - torch.arange(n_in, device=device)).abs()
    return (1 - distance).clamp(min=0)


def bin_weights(n_in: int, n_out: int, device: torch.device) -> Tensor:
    """(n_out, n_in) float32: the share of every input pixel in every bin; each row sums to one."""
    bins, pixels = torch.arange(n_out, device=device), torch.arange(n_in, device=device)
    first = bins * n_in // n_out
    beyond = ((bins + 1) * n_in + n_out - 1) // n_out
    inside = (pixels >= first[:, None]) & (pixels < beyond[:, None])
    return inside / (beyond - first)[:, None]


def _resampled(x: Tensor, size: tuple[int, int], weights: Weights) -> Tensor:
    height, width = x.shape[-2:]
    if (height, width) == tuple(size):
        return x
    # Made in float32: bfloat16 cannot tell apart the positions of pixels beyond the 256th.
    rows = weights(height, size[0], x.device).to(x.dtype)
    columns = weights(width, size[1], x.device).to(x.dtype)
    return rows @ (x @ columns.T)
