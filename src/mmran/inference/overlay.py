"""A picture of a slice with the outline of its mask."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmran.metrics.surface import border

COLOR = (255, 196, 0)
"""Of the outline: yellow shows on every gray."""


def overlay(pixels: NDArray[Any], low: float, high: float, mask: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """Draw a slice in the network's window with the border of its mask.

    Args:
        pixels: (H, W) intensities.
        low, high: intensities that become black and white.
        mask: (H, W) bool, or None.

    Returns:
        (H, W, 3) uint8.
    """
    scale = 255 / max(high - low, 1e-30)
    scaled = (pixels.astype(np.float32) - low) * scale
    picture = np.repeat(np.clip(scaled, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
    if mask is not None:
        picture[border(mask)] = COLOR
    return picture
