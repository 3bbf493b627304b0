"""HD95: how far apart the borders of two masks lie, in millimetres.

The border of a mask is the mask minus its erosion with the 4-neighbour cross, the outside of the image
counting as background: a tumor pixel of which at least one 4-neighbour is background or beyond the frame.
MONAI and medpy take the same pixels. Distances run from pixel centre to pixel centre.

Two ways to the same numbers: a compiled scan where numba can be imported, scipy's k-d tree where it cannot.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mmran.metrics.overlap import bounding_box, check_masks

try:
    from numba import njit
except ImportError:
    njit = None

Function = TypeVar("Function", bound=Callable[..., Any])


def _compiled(function: Function) -> Function:
    """Compile a function where numba is installed; without it the function stays as it reads."""
    if njit is None:
        return function
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no writable place for numba's cache: compile anew in each process
        return njit(nogil=True)(function)


Spacing = float | tuple[float, float]


class Hausdorff95(NamedTuple):
    """HD95 of one image.

    Attributes:
        hd95_mm: maximum of the two directed 95th percentiles; 0 where both masks are empty.
        missed: exactly one mask is empty, so that no distance exists and `hd95_mm` is the image diagonal.
    """

    hd95_mm: float
    missed: bool


def hd95(
    prediction: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    spacing_mm: Spacing,
    *,
    compiled: bool | None = None,
) -> Hausdorff95:
    """The 95 % Hausdorff distance of two masks.

    Args:
        prediction: (H, W) bool, True is tumor.
        truth: (H, W) bool.
        spacing_mm: distance of neighbouring pixels in mm, one number or (between rows, between columns).
        compiled: True takes the numba scan, False the k-d tree, None the scan where numba is installed.

    Raises:
        ValueError: the shapes differ, a mask is not boolean, or the spacing is not positive.

    Source: Eq. 17.
    Deviates: the equation's "max 95 %" is read as the maximum of the two directed 95th percentiles (numpy's
    linear interpolation) of border-to-border distances, and the sets as borders. A missed tumor costs the
    diagonal of the image (of its field in mm, so that the resolution does not matter) instead of dropping out
    of the mean.
    """
    check_masks(prediction, truth)
    row_mm, column_mm = spacing_mm if isinstance(spacing_mm, tuple) else (spacing_mm, spacing_mm)
    if not (row_mm > 0 and column_mm > 0):
        raise ValueError(f"spacing_mm is {spacing_mm}, expected positive millimetres")
    box = bounding_box(prediction | truth)
    if box is None:
        return Hausdorff95(0.0, missed=False)
    # Cropping is exact: outside the box there is only background, which is what a border pixel borders on.
    predicted_border, true_border = border(prediction[box]), border(truth[box])
    if not (predicted_border.any() and true_border.any()):
        return Hausdorff95(math.hypot(truth.shape[0] * row_mm, truth.shape[1] * column_mm), missed=True)
    use_scan = njit is not None if compiled is None else compiled
    nearest = _nearest_by_scan if use_scan else _nearest_by_tree
    there = _percentile_95(nearest(predicted_border, true_border, row_mm, column_mm))
    back = _percentile_95(nearest(true_border, predicted_border, row_mm, column_mm))
    return Hausdorff95(max(there, back), missed=False)


def border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask's pixels with a 4-neighbour that is background or beyond the frame.

    Args:
        mask: (H, W) bool.

    Returns:
        (H, W) bool.
    """
    edge = mask.copy()
    edge[1:-1, 1:-1] &= ~(mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:])
    return edge


def _percentile_95(values: NDArray[np.float64]) -> float:
    """The 95th percentile by linear interpolation: numpy's default, less the half of the time that numpy checks."""
    position = 0.95 * (values.size - 1)
    below = int(position)
    above = min(below + 1, values.size - 1)
    values = np.partition(values, (below, above))
    return float(values[below] + (values[above] - values[below]) * (position - below))


def _nearest_by_tree(
    from_border: NDArray[np.bool_], to_border: NDArray[np.bool_], row_mm: float, column_mm: float
) -> NDArray[np.float64]:
    """Distances in mm (n,) from every border pixel to the nearest of the other border, in any order."""
    # A plain tree: on a grid of pixels, balancing it takes longer than it saves.
    tree = cKDTree(np.argwhere(to_border) * (row_mm, column_mm), balanced_tree=False, compact_nodes=False)
    distances = np.zeros(np.count_nonzero(from_border))
    apart = np.argwhere(from_border & ~to_border) * (row_mm, column_mm)
    if len(apart):  # pixels on both borders, many of them in noise, are at distance 0
        distances[: len(apart)] = tree.query(apart)[0]
    return distances


@_compiled
def _column_gaps(target: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Rows from each pixel to the nearest target pixel in its column; a huge number where there is none."""
    height, width = target.shape
    gaps = np.empty((height, width), dtype=np.int32)
    for x in range(width):
        gaps[0, x] = 0 if target[0, x] else 1_000_000
    for y in range(1, height):
        for x in range(width):
            gaps[y, x] = 0 if target[y, x] else gaps[y - 1, x] + 1
    for y in range(height - 2, -1, -1):
        for x in range(width):
            gaps[y, x] = min(gaps[y, x], gaps[y + 1, x] + 1)
    return gaps


@_compiled
def _nearest_by_scan(
    from_border: NDArray[np.bool_], to_border: NDArray[np.bool_], row_mm: float, column_mm: float
) -> NDArray[np.float64]:
    """Distances in mm (n,) from every border pixel to the nearest of the other border, in any order.

    Of the nearest target pixels of all columns, a row's pixels look for the best: by stepping outwards where
    that soon ends (borders that lie close, smooth or noisy), by the row's distance transform where it would
    not.
    """
    gaps = _column_gaps(to_border)
    height, width = to_border.shape
    squared = np.empty(np.count_nonzero(from_border), dtype=np.float64)
    row_squared = np.empty(width, dtype=np.float64)
    columns = np.empty(width, dtype=np.int64)
    n = 0
    for y in range(height):
        n_columns = 0
        steps = 0.0
        for x in range(width):
            if from_border[y, x]:
                columns[n_columns] = x
                n_columns += 1
                steps += min(gaps[y, x] * row_mm / column_mm, width)
        far = steps > 8 * width  # about where stepping costs more than transforming the row
        if far:
            _transform_row(gaps[y], row_mm, column_mm, row_squared)
        for x in columns[:n_columns]:
            squared[n] = row_squared[x] if far else _step_outwards(gaps[y], x, row_mm, column_mm)
            n += 1
    return np.sqrt(squared)


@_compiled
def _step_outwards(gaps: NDArray[np.int32], x: int, row_mm: float, column_mm: float) -> float:
    """Squared distance in mm from pixel x of a row to the nearest target pixel, by the row's column gaps."""
    width = gaps.shape[0]
    best = (gaps[x] * row_mm) ** 2
    for step in range(1, width):
        across = (step * column_mm) ** 2
        if across >= best:
            break
        if step <= x:
            best = min(best, across + (gaps[x - step] * row_mm) ** 2)
        if step < width - x:
            best = min(best, across + (gaps[x + step] * row_mm) ** 2)
    return best


@_compiled
def _transform_row(gaps: NDArray[np.int32], row_mm: float, column_mm: float, squared: NDArray[np.float64]) -> None:
    """Squared distance in mm from every pixel of a row to the nearest target pixel, written into `squared`.

    Source: Felzenszwalb and Huttenlocher 2012 (lower envelope of one parabola per column).
    """
    width = gaps.shape[0]
    depth = (gaps * row_mm / column_mm) ** 2  # everything across is counted in columns
    parabola = np.empty(width, dtype=np.int64)  # columns whose parabola is lowest somewhere, left to right
    start = np.empty(width, dtype=np.float64)  # where, in columns, each of them becomes the lowest
    last = -1
    for x in range(width):
        crossing = -np.inf
        while last >= 0:
            other = parabola[last]
            crossing = (depth[x] - depth[other] + x**2 - other**2) / (2 * (x - other))
            if crossing > start[last]:
                break
            last -= 1
            crossing = -np.inf
        last += 1
        parabola[last] = x
        start[last] = crossing
    current = 0
    for x in range(width):
        while current < last and start[current + 1] < x:
            current += 1
        nearest = parabola[current]
        squared[x] = ((x - nearest) * column_mm) ** 2 + (gaps[nearest] * row_mm) ** 2
