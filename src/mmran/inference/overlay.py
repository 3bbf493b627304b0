"""A picture of a slice with the outline of its mask."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmran.data.channels import channel_planes
from mmran.metrics.surface import border

COLOR = (255, 196, 0)
"""Of the outline: yellow shows on every gray."""


def overlay(
    pixels: NDArray[Any], low: Sequence[float], high: Sequence[float], mask: NDArray[np.bool_] | None
) -> NDArray[np.uint8]:
    """Draw a slice in the network's window with the border of its mask.

    Args:
        pixels: (H, W) or (C, H, W) intensities, of which the first channel is shown.
        low, high: intensities of each channel that become black and white.
        mask: (H, W) bool, or None.

    Returns:
        (H, W, 3) uint8.
    """
    scale = 255 / max(high[0] - low[0], 1e-30)
    scaled = (channel_planes(pixels)[0].astype(np.float32) - low[0]) * scale
    picture = np.repeat(np.clip(scaled, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
    if mask is not None:
        picture[border(mask)] = COLOR
    return picture
