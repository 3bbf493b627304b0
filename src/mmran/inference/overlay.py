"""A picture of a slice with the outline of its mask."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmran.data.channels import shown_planes
from mmran.metrics.surface import border

COLOR = (255, 196, 0)
"""Of the outline: yellow shows on every gray."""


def overlay(
    pixels: NDArray[Any],
    low: Sequence[float],
    high: Sequence[float],
    mask: NDArray[np.bool_] | None,
    channels: Sequence[str] = (),
) -> NDArray[np.uint8]:
    """Draw a slice in the network's window with the border of its mask.

    Args:
        pixels: (H, W) or (C, H, W) intensities.
        low: intensity of each channel that becomes black. Color takes the lowest of all channels, which keeps its hues.
        high: intensity of each channel that becomes white. Color takes the highest of all channels.
        mask: (H, W) bool, or None.
        channels: names of the channels; red, green, and blue are shown in color, of others the first in gray.

    Returns:
        (H, W, 3) uint8.
    """
    shown = shown_planes(pixels, channels)
    black, white = min(low[: len(shown)]), max(high[: len(shown)])
    scale = 255 / max(white - black, 1e-30)
    scaled = np.clip((shown.astype(np.float32) - black) * scale, 0, 255).astype(np.uint8)
    picture = np.array(np.broadcast_to(np.moveaxis(scaled, 0, 2), (*pixels.shape[-2:], 3)))
    if mask is not None:
        picture[border(mask)] = COLOR
    return picture
