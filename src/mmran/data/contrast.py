"""Whether images and masks have the same orientation: contrast under the masks, as stored and with images turned.

A library that reads or writes images may transpose, flip, or rotate them and leave the masks alone. Masks then still
fit their border polygons, but follow no edge of their images.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from mmran.data.audit_record import Contrast

TRANSPOSED_SHARE, FLIPPED_SHARE = 0.8, 0.7
"""Smallest shares of slices with more contrast as stored than transposed, or than flipped or rotated.

In the published set 0.9 of all slices and 0.82 of gliomas have more than transposed, 0.86 and 0.73 than flipped from
left to right, because tumors near the midline overlap their mirror images.
"""

LEAST_COMPARED = 10
_RING_PX = 3

Indices = NDArray[np.intp]
_Turn = Callable[[Indices, Indices, int, int], tuple[Indices, Indices]]

# What happened to an image -> where the pixels (y, x) of its mask lie in it; last row and last column of the mask.
_TURNS: Mapping[str, _Turn] = {
    "transposed": lambda y, x, rows, columns: (x, y),
    "flipped left to right": lambda y, x, rows, columns: (y, columns - x),
    "flipped upside down": lambda y, x, rows, columns: (rows - y, x),
    "rotated by 180 degrees": lambda y, x, rows, columns: (rows - y, columns - x),
    "rotated by 90 degrees clockwise": lambda y, x, rows, columns: (x, rows - y),
    "rotated by 90 degrees counterclockwise": lambda y, x, rows, columns: (columns - x, y),
    "transposed along the other diagonal": lambda y, x, rows, columns: (columns - x, rows - y),
}
_KEEP_SIDES = ("flipped left to right", "flipped upside down", "rotated by 180 degrees")
TURNS = tuple(_TURNS)
STORED = "as stored"


def contrasts(image: NDArray[np.generic], mask: NDArray[np.uint8]) -> dict[str, float]:
    """Contrast of the image under the mask as stored and under each turn, see `Contrast`.

    Args:
        image: (H, W) intensities.
        mask: (H, W), nonzero in the tumor.

    Returns:
        `STORED` or a turn -> contrast; NaN if it cannot be measured, as for turns that exchange the sides of an image
        that is not square.
    """
    nothing = dict.fromkeys((STORED, *TURNS), float("nan"))
    tumor = mask != 0
    if not tumor.any():
        return nothing
    rows, columns = ndimage.find_objects(tumor.view(np.uint8))[0]
    top, left = (max(0, side.start - _RING_PX) for side in (rows, columns))
    inside = tumor[top : rows.stop + _RING_PX, left : columns.stop + _RING_PX]
    ring = ndimage.binary_dilation(inside, iterations=_RING_PX) & ~inside
    if not ring.any():
        return nothing
    (inner_y, inner_x), (outer_y, outer_x) = np.nonzero(inside), np.nonzero(ring)
    y, x = np.concatenate([inner_y, outer_y]) + top, np.concatenate([inner_x, outer_x]) + left
    found = nothing | {STORED: _contrast(image[y, x], len(inner_y))}
    for name, turn in _TURNS.items():
        if image.shape[0] == image.shape[1] or name in _KEEP_SIDES:
            found[name] = _contrast(image[turn(y, x, image.shape[0] - 1, image.shape[1] - 1)], len(inner_y))
    return found


def _contrast(values: NDArray[np.generic], n_inside: int) -> float:
    pixels = values.astype(np.float64)
    deviation = pixels.std()
    return float(abs(pixels[:n_inside].mean() - pixels[n_inside:].mean()) / deviation) if deviation else float("nan")


def orientation(findings: pd.DataFrame) -> Contrast:
    """How images are oriented against their masks.

    Args:
        findings: one row per slice, with the columns of `contrasts`.
    """
    rivals = [_against(findings, turn) for turn in TURNS]
    compared = [one for one in rivals if one.n_compared]
    if not compared:
        return rivals[0]
    # The turn that competes most with the images as stored; of several that win, the one with most contrast.
    return min(compared, key=lambda one: (one.share_upright > 1 - FLIPPED_SHARE, one.share_upright, -one.turned_median))


def _against(findings: pd.DataFrame, turn: str) -> Contrast:
    both = findings[[STORED, turn]].dropna()
    both = both[both[STORED] != both[turn]]
    n, medians = len(both), both.median()
    if not n:
        return Contrast(0.0, turn, 0.0, 0.0, 0, "unknown")
    share = float((both[STORED] > both[turn]).mean())
    # In small sets, chance can cross the bound for mirror images; transposed images are far from theirs.
    least, slack = (TRANSPOSED_SHARE, 0.0) if turn == "transposed" else (FLIPPED_SHARE, 0.5 / np.sqrt(n))
    verdict = "turned" if share <= 1 - least else "mixed" if share < least - slack else "right"
    verdict = verdict if n >= LEAST_COMPARED else "unknown"
    return Contrast(float(medians[STORED]), turn, float(medians[turn]), share, n, verdict)
