"""Two ways to find the nearest pixel of another border, with the same result.

`nearest_by_scan` is compiled where numba can be imported and is several times as fast; `nearest_by_tree` needs
only scipy. `mmran.metrics.surface` imports this module on first use, because importing numba takes longer than
measuring a small test set.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

try:
    from numba import njit
except ImportError:
    njit = None

HAS_NUMBA = njit is not None

Function = TypeVar("Function", bound=Callable[..., Any])


def _compiled(function: Function) -> Function:
    """Compile a function where numba is installed; without numba, return it unchanged."""
    if njit is None:
        return function
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba finds no writable folder for its cache: each process compiles for itself
        return njit(nogil=True)(function)


def nearest_by_tree(
    from_border: NDArray[np.bool_], to_border: NDArray[np.bool_], row_mm: float, column_mm: float
) -> NDArray[np.float64]:
    """Distances in mm, (n,) float64 in no particular order, from every border pixel to the nearest of the other."""
    from scipy.spatial import cKDTree

    # On a pixel grid, balancing the tree takes longer than it saves.
    tree = cKDTree(np.argwhere(to_border) * (row_mm, column_mm), balanced_tree=False, compact_nodes=False)
    distances = np.zeros(np.count_nonzero(from_border))
    apart = np.argwhere(from_border & ~to_border) * (row_mm, column_mm)
    if len(apart):  # pixels on both borders, which noise has many of, are at distance 0
        distances[: len(apart)] = tree.query(apart)[0]
    return distances


@_compiled
def _column_gaps(target: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Rows from each pixel to the nearest target pixel of its column; 1,000,000 or more where the column has none."""
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
def nearest_by_scan(
    from_border: NDArray[np.bool_], to_border: NDArray[np.bool_], row_mm: float, column_mm: float
) -> NDArray[np.float64]:
    """Distances in mm, (n,) float64 in no particular order, from every border pixel to the nearest of the other.

    Each column holds one candidate per row: its nearest target pixel. A pixel finds the best candidate of its row
    by stepping outward where the borders lie close together, and by the row's distance transform where they do
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
        far = steps > 8 * width  # from about here on, stepping costs more than transforming the row
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
    depth = (gaps * row_mm / column_mm) ** 2  # lengths are in columns from here on
    parabola = np.empty(width, dtype=np.int64)  # columns whose parabola is the lowest somewhere, left to right
    start = np.empty(width, dtype=np.float64)  # the column where each becomes the lowest
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
