"""Prior-knowledge postprocessing (PKP): a tumor is solid, so whatever a predicted lesion encloses is tumor.

`VARIANTS` names the ways to postprocess a mask; every result carries the name of one.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmran.metrics.overlap import bounding_box

Mask = NDArray[np.bool_]
RAW = "raw"


def keep(mask: Mask) -> Mask:
    """Return the mask as the network predicts it."""
    return mask


def fill_holes(mask: Mask) -> Mask:
    """Turn every hole into tumor: background that no 4-connected path joins to the outside.

    Bit-identical to `scipy.ndimage.binary_fill_holes` in a fraction of its time: background outside the lesion's
    bounding box always reaches the outside, so only the box is searched.

    Args:
        mask: (H, W) bool, True is tumor.

    Returns:
        (H, W) bool, a new array.

    Raises:
        ValueError: the mask is not two-dimensional or not boolean.

    Source: section 3.5 (flood fill in four directions, inverted, merged with the mask).
    """
    return _fill(mask, lambda holes, count, lesion: np.arange(count + 1) > 1)


def fill_guarded_holes(mask: Mask) -> Mask:
    """Turn only those holes into tumor that are smaller than the component that encloses them.

    `fill_holes` turns the inside of any closed ring into tumor, so one thin ring around the head fills the head.
    A real hole has fewer pixels than the lesion around it.

    Args:
        mask: (H, W) bool, True is tumor.

    Returns:
        (H, W) bool, a new array.

    Raises:
        ValueError: the mask is not two-dimensional or not boolean.

    Deviates: section 3.5 fills every hole.
    """
    return _fill(mask, _smaller_than_their_rim)


VARIANTS: Mapping[str, Callable[[Mask], Mask]] = {RAW: keep, "pkp": fill_holes, "pkp-guarded": fill_guarded_holes}
"""Variant -> how it postprocesses a mask (H, W) bool; the first one is the network's own."""


def _fill(mask: Mask, chosen: Callable[[NDArray[Any], int, Mask], NDArray[np.bool_]]) -> Mask:
    """Fill the chosen background components.

    Args:
        mask: (H, W) bool.
        chosen: of background components (h, w) int, their number and the framed lesion (h, w) bool, tells which
            components become tumor, (n + 1,) bool by label; label 1 is the outside.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise ValueError(f"expected a (H, W) bool mask, not {mask.dtype} {mask.shape}")
    filled = mask.copy()
    box = bounding_box(mask)
    if box is None:
        return filled
    from scipy import ndimage

    # A frame of one background pixel joins all background at the edge of the box into the component of the corner,
    # even where the lesion itself lies in the corner of the image.
    lesion = np.pad(mask[box], 1)
    holes, count = ndimage.label(~lesion)  # 4-connected by default; the corner is component 1
    if count > 1:
        filled[box] |= chosen(holes, count, lesion)[holes][1:-1, 1:-1]
    return filled


def _smaller_than_their_rim(holes: NDArray[Any], count: int, lesion: Mask) -> NDArray[np.bool_]:
    from scipy import ndimage

    # What a 4-connected hole borders on is 8-connected.
    components, _ = ndimage.label(lesion, structure=np.ones((3, 3)))
    flat = holes.ravel()
    topmost = np.zeros(count + 1, dtype=np.int64)
    topmost[flat[::-1]] = np.arange(flat.size)[::-1]  # of repeated labels, numpy keeps the last one written
    # The pixel above the topmost one of a hole lies on its outer rim, never on an island inside it. Labels 0 and 1,
    # the lesion and the outside, need no answer.
    rims = components.ravel()[topmost[2:] - holes.shape[1]]
    smaller = np.bincount(flat)[2:] < np.bincount(components.ravel())[rims]
    return np.concatenate([[False, False], smaller])
