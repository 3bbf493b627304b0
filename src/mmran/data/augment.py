"""The five transforms of the paper, fused and batched.

    flips, rotation, elastic field  ->  one sampling grid  ->  image and mask read through it  ->  + noise

Flips and rotation are a 2 x 2 matrix, the elastic field is a cubic B-spline surface over a coarse grid of
control points; their sum is one grid, so that every pixel is interpolated once, whatever was drawn. All
randomness comes from counters of (seed, epoch, slice number), see `counters`.

Source: section 4.1 of the paper names the transforms and p = .5; the ranges are our reading.
"""

import math
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional

from mmran.data import counters
from mmran.data.augmentation import Augmentation

# A CPU is fastest with as many slices at a time as its cache holds; a GPU takes the whole batch.
_CPU_PIXELS: Final = 512 * 512
# Each slice's noise is a window into this many fixed numbers: drawing new ones costs more than everything else.
_NOISE_NUMBERS: Final = 2**22


class Draws(NamedTuple):
    """What was drawn for a batch of B slices, on the host.

    Attributes:
        matrix: (B, 2, 2) float32, maps an output position (x, y) to the position it is read from.
        moved: (B,) bool, whether any pixel moves.
        elastic: (B,) bool.
        noisy: (B,) bool.
    """

    matrix: NDArray[np.float32]
    moved: NDArray[np.bool_]
    elastic: NDArray[np.bool_]
    noisy: NDArray[np.bool_]


def draw_transforms(numbers: ArrayLike, seed: int, epoch: int, augmentation: Augmentation) -> Draws:
    """Draw the transforms of every slice, and the angle of rotation (positive is counterclockwise).

    Args:
        numbers: (B,) integer slice numbers.
        seed: the trial's seed.
        epoch: the epoch from zero.
        augmentation: probability and ranges.
    """
    drawn = counters.draw_uniform(counters.stream_keys(seed, epoch, numbers, counters.TRANSFORMS), 6)
    horizontal, vertical, rotated, elastic, noisy = (drawn[:, :5] < augmentation.probability).T
    horizontal = horizontal & augmentation.horizontal_flip
    vertical = vertical & augmentation.vertical_flip
    rotated = rotated & (augmentation.rotation_degrees > 0)
    elastic = elastic & (augmentation.elastic_alpha > 0)

    angle = np.where(rotated, np.deg2rad(augmentation.rotation_degrees) * (2 * drawn[:, 5] - 1), 0)
    cosine, sine = np.cos(angle), np.sin(angle)
    sign_x, sign_y = np.where(horizontal, -1, 1), np.where(vertical, -1, 1)
    rows = [[sign_x * cosine, sign_x * -sine], [sign_y * sine, sign_y * cosine]]
    return Draws(
        matrix=np.ascontiguousarray(np.moveaxis(np.array(rows), 2, 0), dtype=np.float32),
        moved=horizontal | vertical | rotated | elastic,
        elastic=elastic,
        noisy=noisy & (augmentation.noise_sigma > 0),
    )


@torch.no_grad()
def augment(
    images: Tensor, masks: Tensor, numbers: ArrayLike, seed: int, epoch: int, augmentation: Augmentation
) -> tuple[Tensor, Tensor]:
    """Transform a batch in place, on its device and without synchronizing with it.

    Images are read bilinearly and masks at the nearest pixel, all channels through the same grid; pixels outside are
    zero. The noise is added everywhere, differs between channels, and is not clipped, so that its mean stays zero. The
    batch is overwritten because new memory costs a CPU as much time as the transforms.

    Args:
        images: (B, C, S, S) float32 in 0..1.
        masks: (B, 1, S, S) float32 of 0 and 1.
        numbers: (B,) integer slice numbers, on the host.
        seed: the trial's seed.
        epoch: the epoch from zero.
        augmentation: probability and ranges.

    Returns:
        The same two tensors.
    """
    numbers = np.asarray(numbers)
    draws = draw_transforms(numbers, seed, epoch, augmentation)
    # Elastic slices come first: the field is computed for them alone.
    elastic, rigid = np.flatnonzero(draws.elastic), np.flatnonzero(draws.moved & ~draws.elastic)
    moved = np.concatenate([elastic, rigid])
    control = draw_control_points(numbers[elastic], seed, epoch, draws.matrix[elastic], augmentation)

    n_together = len(images)
    if images.device.type == "cpu":
        n_together = max(1, _CPU_PIXELS // images[0].numel())
    for start in range(0, len(moved), n_together):
        chosen = moved[start : start + n_together]
        grid = sampling_grid(draws.matrix[chosen], control[start : start + n_together], images.shape[-1], images.device)
        index = _to_device(chosen, images.device)
        _move(images, index, grid, "bilinear")
        _move(masks, index, grid, "nearest")
    noise_keys = counters.stream_keys(seed, epoch, numbers, counters.NOISE)
    _add_noise(images, noise_keys, np.flatnonzero(draws.noisy), augmentation.noise_sigma)
    return images, masks


def draw_control_points(
    numbers: ArrayLike, seed: int, epoch: int, matrix: NDArray[np.float32], augmentation: Augmentation
) -> NDArray[np.float32]:
    """Draw the control points by which the elastic field displaces the positions that are read.

    Args:
        numbers: (B,) integer slice numbers.
        seed: the trial's seed.
        epoch: the epoch from zero.
        matrix: (B, 2, 2) float32; the field deforms the flipped and rotated image, so that its displacements
            pass through the matrix too.
        augmentation: strength and smoothness.

    Returns:
        (B, 2, K, K) float32: x and y, in half image sides, over rows and columns.
    """
    n_points = augmentation.n_intervals + 3
    keys = counters.stream_keys(seed, epoch, numbers, counters.ELASTIC)
    drawn = counters.draw_symmetric_pairs(keys, n_points**2)
    mixed = np.float32(augmentation.control_amplitude) * matrix
    # Two products and a sum, not a matrix product, whose last bit would depend on the library and the batch.
    control = mixed[:, :, :1] * drawn[:, None, 0] + mixed[:, :, 1:] * drawn[:, None, 1]
    return control.reshape(-1, 2, n_points, n_points)


def sampling_grid(matrix: NDArray[np.float32], control: NDArray[np.float32], size: int, device: torch.device) -> Tensor:
    """The position that every output pixel is read from.

    Args:
        matrix: (B, 2, 2) float32.
        control: (E, 2, K, K) float32 control points of the first E <= B slices; the others are rigid.
        size: S in pixels.
        device: where the grid is made.

    Returns:
        (B, 2, S, S) float32: x and y over rows and columns, -1 to 1 from edge to edge of the image.
    """
    # Pixel centers; exact in float32 where S is a power of two, so that flips there are exact as well.
    centers = (torch.arange(size, device=device) * 2 + 1) / size - 1
    columns = _to_device(matrix, device)[..., None, None]  # (B, 2, 2, 1, 1)
    grid = columns[:, :, 0] * centers + columns[:, :, 1] * centers[:, None]  # (B, 2, S, S)
    if len(control):
        grid[: len(control)] += _spline_surface(_to_device(control, device), size)
    return grid


def _spline_surface(control: Tensor, size: int) -> Tensor:
    """(b, 2, K, K) control points to (b, 2, S, S) displacements."""
    basis, first, band_basis = _spline_basis(size, control.shape[-1], control.device)
    flat = control.flatten(0, 1)  # (2b, K, K)
    # bf16 would be too coarse. TF32, where the user allows it, is not: it rounds displacements of a few
    # pixels; positions are added afterward.
    with torch.autocast(control.device.type, enabled=False):
        across = torch.bmm(flat, basis.T.expand(len(flat), -1, -1))  # (2b, K, S)
        # Only four weights of a row are nonzero, so a band of rows needs a few control points, not all.
        windows = across[:, first].flatten(0, 1)  # (2b n_bands, n_taps, S)
        down = torch.bmm(band_basis.repeat(len(flat), 1, 1), windows)
    return down.view(-1, 2, size, size)


def _move(values: Tensor, index: Tensor, grid: Tensor, mode: str) -> None:
    """Replace the indexed b of (B, C, S, S) by what lies at the positions (b, 2, S, S); zeros outside."""
    # The copy is in the cache; reading slanted lines from main memory takes twice as long.
    copy, positions = values.index_select(0, index), grid.permute(0, 2, 3, 1)
    moved = functional.grid_sample(copy, positions, mode=mode, padding_mode="zeros", align_corners=False)
    values.index_copy_(0, index, moved)


def _add_noise(images: Tensor, keys: NDArray[np.uint64], noisy: NDArray[np.intp], sigma: float) -> None:
    """Add Gaussian noise, in place, to the noisy ones of (B, C, S, S)."""
    if not len(noisy):
        return
    n_pixels = images[0].numel()
    numbers = _noise_numbers(max(_NOISE_NUMBERS, 2 * n_pixels), images.device)
    starts = counters.draw_bits(keys, 1)[:, 0] % np.uint64(len(numbers) - n_pixels + 1)
    for i in noisy:
        start = int(starts[i])
        images[i].add_(numbers[start : start + n_pixels].view_as(images[i]), alpha=sigma)


@lru_cache(maxsize=2)
def _noise_numbers(n: int, device: torch.device) -> Tensor:
    """(n,) float32 standard normal numbers, the same in every run and on every device."""
    key = counters.stream_keys(0, 0, [0], counters.NOISE)
    uniform = (counters.draw_symmetric_pairs(key, -(-n // 2))[0] + 1) / 2  # (2, n / 2), never zero
    radius, angle = np.sqrt(-2 * np.log(uniform[0])), np.float32(2 * np.pi) * uniform[1]
    normal = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    return torch.from_numpy(normal[:n]).to(device)


@lru_cache(maxsize=8)
def _spline_basis(size: int, n_points: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of the control points of a uniform cubic B-spline in the pixel centers.

    Returns:
        (S, K) float32 weights; the same in bands of rows: (n_bands, n_taps) int64 control points that a band
        needs, and (n_bands, S / n_bands, n_taps) float32 weights.
    """
    position = (np.arange(size) + 0.5) * (n_points - 3) / size
    # Control point k lies at knot k - 1: the first and the last lie outside the image.
    distance = np.abs(position[:, None] - (np.arange(n_points) - 1))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - distance).clip(min=0) ** 3 / 6
    basis = np.where(distance < 1, near, far).astype(np.float32)

    n_bands = math.gcd(size, 8)
    lowest, highest = np.floor(position.reshape(n_bands, -1)[:, [0, -1]]).astype(np.int64).T
    n_taps = int((highest - lowest).max()) + 4
    first = np.minimum(lowest, n_points - n_taps)[:, None] + np.arange(n_taps)
    bands = np.take_along_axis(basis.reshape(n_bands, -1, n_points), first[:, None], axis=2)
    return tuple(torch.from_numpy(values).to(device) for values in (basis, first, bands))  # type: ignore[return-value]


def _to_device(values: NDArray[Any], device: torch.device) -> Tensor:
    """Copy to the device without synchronizing: pageable memory is staged before the call returns."""
    return torch.from_numpy(values).to(device, non_blocking=True)
