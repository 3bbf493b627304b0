"""Surface distances: how far apart the borders of two masks lie, in millimeters.

`surface_distances` does the expensive work once per pair of masks; `hd95_mm`, `assd_mm` and `nsd` read its result.

The border of a mask is the mask minus its erosion with the 4-neighbor cross: the tumor pixels with a 4-neighbor that
is background or beyond the frame. MONAI and medpy take the same pixels. Distances run from pixel center to pixel
center.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmran.metrics.overlap import bounding_box, check_masks

Spacing = float | tuple[float, float]
Nearest = Callable[[NDArray[np.bool_], NDArray[np.bool_], float, float], NDArray[np.float64]]

FEW_PAIRS = 2**15
"""Pairs of border pixels up to which all are measured: half a millisecond, and no numba to import."""


@dataclass(frozen=True)
class SurfaceDistances:
    """Both sets of directed border-to-border distances of a pair of masks.

    Attributes:
        from_prediction_mm: (n,) float64, from each predicted border pixel to the nearest true one, unordered;
            infinite where the truth is empty.
        from_truth_mm: (m,) float64, the other direction; infinite where the prediction is empty.
        diagonal_mm: the image diagonal, which replaces the distance where exactly one mask is empty.
    """

    from_prediction_mm: NDArray[np.float64]
    from_truth_mm: NDArray[np.float64]
    diagonal_mm: float

    @property
    def both_empty(self) -> bool:
        """Whether neither mask has a pixel: the two agree."""
        return self.from_prediction_mm.size == self.from_truth_mm.size == 0

    @property
    def missed(self) -> bool:
        """Whether exactly one mask is empty, so that no distance exists."""
        return (self.from_prediction_mm.size == 0) != (self.from_truth_mm.size == 0)


def surface_distances(
    prediction: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    spacing_mm: Spacing,
    *,
    compiled: bool | None = None,
) -> SurfaceDistances:
    """Measure a pair of masks in both directions.

    Args:
        prediction: (H, W) bool, True is tumor.
        truth: (H, W) bool.
        spacing_mm: distance between neighboring pixels in mm, one number or (between rows, between columns).
        compiled: True takes the scan, False the k-d tree; None takes all pairs of short borders, else the scan where
            numba is installed. All give the same distances.

    Raises:
        ValueError: the shapes differ, a mask is not boolean, or the spacing is not positive.
    """
    check_masks(prediction, truth)
    row_mm, column_mm = spacing_mm if isinstance(spacing_mm, tuple) else (spacing_mm, spacing_mm)
    if not (row_mm > 0 and column_mm > 0):
        raise ValueError(f"spacing_mm is {spacing_mm}, expected positive millimeters")
    # The diagonal of the field in mm, so that a miss costs the same at any resolution.
    diagonal_mm = math.hypot(truth.shape[0] * row_mm, truth.shape[1] * column_mm)
    box = bounding_box(prediction | truth)
    if box is None:
        return SurfaceDistances(np.empty(0), np.empty(0), diagonal_mm)
    # Cropping changes nothing: outside the box lies background, and the frame of the box counts as background too.
    predicted_border, true_border = border(prediction[box]), border(truth[box])
    n_predicted, n_true = np.count_nonzero(predicted_border), np.count_nonzero(true_border)
    if not (n_predicted and n_true):
        return SurfaceDistances(np.full(n_predicted, np.inf), np.full(n_true, np.inf), diagonal_mm)
    if compiled is None and n_predicted * n_true <= FEW_PAIRS:
        nearest: Nearest = nearest_by_pairs
    else:
        # Importing numba takes longer than measuring a small test set.
        from mmran.metrics.nearest import HAS_NUMBA, nearest_by_scan, nearest_by_tree

        nearest = nearest_by_scan if (HAS_NUMBA if compiled is None else compiled) else nearest_by_tree
    return SurfaceDistances(
        nearest(predicted_border, true_border, row_mm, column_mm),
        nearest(true_border, predicted_border, row_mm, column_mm),
        diagonal_mm,
    )


def nearest_by_pairs(
    from_border: NDArray[np.bool_], to_border: NDArray[np.bool_], row_mm: float, column_mm: float
) -> NDArray[np.float64]:
    """Distances in mm, (n,) float64, from every border pixel to the nearest of the other: the least of all pairs."""
    start, end = np.argwhere(from_border), np.argwhere(to_border)
    rows, columns = (start[:, None, axis] - end[None, :, axis] for axis in (0, 1))
    nearest: NDArray[np.float64] = np.sqrt(((rows * row_mm) ** 2 + (columns * column_mm) ** 2).min(axis=1))
    return nearest


def border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find the mask's pixels with a 4-neighbor that is background or beyond the frame.

    Args:
        mask: (H, W) bool.

    Returns:
        (H, W) bool.
    """
    edge = mask.copy()
    edge[1:-1, 1:-1] &= ~(mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:])
    return edge


def hd95_mm(distances: SurfaceDistances) -> float:
    """95 % Hausdorff distance: 0 where both masks are empty, the image diagonal where one is.

    Source: Eq. 17.
    Deviates: the equation's "max 95 %" is read as the maximum of the two directed 95th percentiles (numpy's linear
    interpolation) of border-to-border distances. A missed tumor costs the image diagonal instead of dropping out of
    the mean.
    """
    if distances.both_empty:
        return 0.0
    if distances.missed:
        return distances.diagonal_mm
    return max(_percentile_95(distances.from_prediction_mm), _percentile_95(distances.from_truth_mm))


def assd_mm(distances: SurfaceDistances) -> float:
    """Average symmetric surface distance: the mean over both sets of distances together.

    0 where both masks are empty, the image diagonal where one is, as in `hd95_mm`.

    Source: Metrics Reloaded (Maier-Hein et al. 2024). medpy's `assd` is the mean of the two directed means instead.
    """
    if distances.both_empty:
        return 0.0
    if distances.missed:
        return distances.diagonal_mm
    total = float(distances.from_prediction_mm.sum()) + float(distances.from_truth_mm.sum())
    return total / (distances.from_prediction_mm.size + distances.from_truth_mm.size)


def nsd(distances: SurfaceDistances, tolerance_mm: float) -> float:
    """Normalized surface distance, 0..1: the share of both borders that lies within the tolerance of the other.

    1 where both masks are empty, 0 where one is.

    Source: Nikolov et al. 2021, with border pixels for surface elements, as MONAI counts them.
    """
    if distances.both_empty:
        return 1.0
    # A distance equal to the tolerance may be off in its last bit: the tree subtracts coordinates, the scan does not.
    reach_mm = tolerance_mm + 1e-9
    within = np.count_nonzero(distances.from_prediction_mm <= reach_mm)
    within += np.count_nonzero(distances.from_truth_mm <= reach_mm)
    return within / (distances.from_prediction_mm.size + distances.from_truth_mm.size)


def _percentile_95(values: NDArray[np.float64]) -> float:
    """The 95th percentile by linear interpolation, equal to numpy's and faster: it skips numpy's checks."""
    position = 0.95 * (values.size - 1)
    below = int(position)
    above = min(below + 1, values.size - 1)
    values = np.partition(values, (below, above))
    return float(values[below] + (values[above] - values[below]) * (position - below))
