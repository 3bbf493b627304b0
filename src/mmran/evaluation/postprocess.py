"""Prior-knowledge postprocessing (PKP): a tumor is solid, so what a predicted lesion encloses is tumor."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmran.metrics.overlap import bounding_box


def fill_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Make tumor of every background pixel that no 4-connected path of background joins to the outside.

    Bit-identical to `scipy.ndimage.binary_fill_holes`, at a fraction of its time: whatever lies outside the
    lesion's bounding box is joined to the outside anyway, so only the box is searched.

    Args:
        mask: (H, W) bool, True is tumor.

    Returns:
        (H, W) bool, a new array.

    Raises:
        ValueError: the mask is not two-dimensional or not boolean.

    Source: section 3.5 (flood fill in four directions, inverted, merged with the mask).
    """
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise ValueError(f"fill_holes takes a (H, W) bool mask, not {mask.dtype} {mask.shape}")
    filled = mask.copy()
    box = bounding_box(mask)
    if box is None:
        return filled
    lesion = mask[box]
    # The rim of one background pixel joins all background at the box's edge into the component of the corner,
    # even where the lesion itself sits in the corner of the frame.
    background = np.ones((lesion.shape[0] + 2, lesion.shape[1] + 2), dtype=bool)
    np.logical_not(lesion, out=background[1:-1, 1:-1])
    components, count = ndimage.label(background)  # 4-connected by default; the corner is component 1
    if count > 1:
        filled[box] = components[1:-1, 1:-1] != components[0, 0]
    return filled
