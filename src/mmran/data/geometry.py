"""Fits slices to the network's square input, and restores its output to their native size.

    pad       centers the slice in a square of zeros; its pixels stay as they are
    resample  the whole field, made square by centering, is scaled: area-averaged when it shrinks, interpolated
              linearly when it grows

Both are linear and separable: resampling multiplies by one sparse matrix on each side.
"""

from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mmran.errors import UserError

FITS: Final = ("pad", "resample")


def fit_image(image: NDArray[Any], size: int, fit: str, *, fill: float = 0) -> NDArray[Any]:
    """Fit an image to the network's size.

    Args:
        image: (H, W), any real dtype.
        size: S, the network's side in pixels.
        fit: "pad" or "resample".
        fill: intensity outside the slice.

    Returns:
        (S, S) of the same dtype; integer intensities are rounded.

    Raises:
        UserError: `fit` is unknown, or the slice is too large to be padded to S.
    """
    square = _centered(image, _field_size(image.shape, size, fit), fill)
    if len(square) == size:
        return square
    scaled = _resampled(square.astype(np.float32), size)
    return (np.rint(scaled) if np.issubdtype(image.dtype, np.integer) else scaled).astype(image.dtype)


def fit_mask(mask: NDArray[Any], size: int, fit: str) -> NDArray[np.uint8]:
    """Fit a mask to the network's size; a pixel is tumor if at least half of its area is.

    Args:
        mask: (H, W), zero outside the tumor.
        size: S, the network's side in pixels.
        fit: "pad" or "resample".

    Returns:
        (S, S) uint8 of 0 and 1.

    Raises:
        UserError: as for `fit_image`.
    """
    binary = (mask != 0).astype(np.uint8)
    square = _centered(binary, _field_size(mask.shape, size, fit), 0)
    if len(square) == size:
        return square
    # Thirds that add up to a half must count as a half on every machine.
    return (_resampled(square.astype(np.float32), size) >= 0.5 - 1e-5).astype(np.uint8)


def restore(probability: NDArray[Any], height: int, width: int, fit: str) -> NDArray[np.float32]:
    """Restore the network's map to the slice's native size: the inverse of `fit_image`.

    Args:
        probability: (S, S) in 0..1.
        height: native height in pixels.
        width: native width in pixels.
        fit: "pad" or "resample", as used for fitting.

    Returns:
        (height, width) float32.

    Raises:
        UserError: as for `fit_image`.
    """
    field = _field_size((height, width), probability.shape[-1], fit)
    square = np.asarray(probability, dtype=np.float32)
    if field != square.shape[-1]:
        square = _resampled(square, field)
    top, left = (field - height) // 2, (field - width) // 2
    return np.ascontiguousarray(square[top : top + height, left : left + width])


def network_spacing_mm(spacing_mm: float, height: int, width: int, size: int, fit: str) -> float:
    """Side of one network pixel in mm.

    Args:
        spacing_mm: side of one native pixel.
        height: native height in pixels.
        width: native width in pixels.
        size: S, the network's side in pixels.
        fit: "pad" or "resample".

    Raises:
        UserError: as for `fit_image`.
    """
    return spacing_mm * _field_size((height, width), size, fit) / size


def _field_size(shape: tuple[int, ...], size: int, fit: str) -> int:
    """Side, in native pixels, of the square field that becomes the network's S x S."""
    height, width = shape
    if fit not in FITS:
        raise UserError(f"input.fit: {fit!r} is unknown; choose one of {', '.join(FITS)}")
    if fit == "resample":
        return max(height, width)
    if max(height, width) > size:
        raise UserError(
            f"input.size: a slice of {height} x {width} pixels cannot be padded to {size} x {size}; "
            f"choose a size of at least {max(height, width)}, or input.fit: resample"
        )
    return size


def _centered(image: NDArray[Any], size: int, fill: float) -> NDArray[Any]:
    """The image in the middle of (size, size); an odd extra pixel goes below and to the right."""
    height, width = image.shape
    if height == width == size:
        return image
    square = np.full((size, size), fill, dtype=image.dtype)
    top, left = (size - height) // 2, (size - width) // 2
    square[top : top + height, left : left + width] = image
    return square


def _resampled(image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """(n, n) scaled to (size, size)."""
    weights = _weights(len(image), size)
    return (weights @ (weights @ image).T).T


@lru_cache(maxsize=16)
def _weights(n_in: int, n_out: int) -> sparse.csr_array:
    """(n_out, n_in): the share of every input pixel in every output pixel; each row sums to one."""
    if n_out < n_in:
        edges = np.arange(n_out + 1) * (n_in / n_out)
        pixels = np.arange(n_in)
        overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
        weights = overlap.clip(min=0) * (n_out / n_in)
    else:
        # Pixel centers lie at half-integers; beyond the outermost centers the edge pixel's value is used.
        centers = ((np.arange(n_out) + 0.5) * (n_in / n_out) - 0.5).clip(0, n_in - 1)
        weights = (1 - np.abs(centers[:, None] - np.arange(n_in))).clip(min=0)
    # Sparse, since a row has two or three nonzero weights: six times as fast, and summed in a fixed order.
    return sparse.csr_array(weights.astype(np.float32))
