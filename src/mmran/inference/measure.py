"""Numbers of one predicted slice: the rows of predictions.csv, and of truth.csv where the truth is known."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmran.data.images.base import Spacing
from mmran.inference.model import Prediction
from mmran.inference.placement import Placement
from mmran.metrics import overlap, surface
from mmran.statistics.files import csv_value

DIGITS = 6
"""Significant digits of a number in a csv."""


@dataclass(frozen=True)
class SliceRow:
    """One line of predictions.csv.

    Attributes:
        file: name of the image.
        slice: which of its slices, counted from one.
        slices: how many it has.
        height, width: in pixels.
        row_mm, column_mm: spacing of rows and of columns; None if unknown, as are all values derived from it.
        classes: class name -> probability; empty for a network without classes.
        predicted: the most probable class.
        entropy: of the class probabilities, in bits: 0 is certain.
        area_px, area_mm2: of the mask; None for a network without masks.
        longest_px, longest_mm: longest diameter of one piece of the mask, from pixel corner to pixel corner.
        touches_frame: 1 where the mask reaches the edge of what the network saw.
        warnings: what is unlike the training images.
    """

    file: str
    slice: int
    slices: int
    height: int
    width: int
    row_mm: float | None
    column_mm: float | None
    classes: Mapping[str, float]
    predicted: str | None
    entropy: float | None
    area_px: int | None
    area_mm2: float | None
    longest_px: float | None
    longest_mm: float | None
    touches_frame: int | None
    warnings: Sequence[str]

    @classmethod
    def of(cls, file: str, i: int, n: int, placement: Placement, prediction: Prediction) -> "SliceRow":
        """Measure slice `i`, from zero, of `n`."""
        spacing, mask = placement.spacing_mm, prediction.mask
        height, width = placement.shape
        return cls(
            file=file,
            slice=i + 1,
            slices=n,
            height=height,
            width=width,
            row_mm=spacing[0] if spacing else None,
            column_mm=spacing[1] if spacing else None,
            classes=prediction.classes,
            predicted=prediction.predicted,
            entropy=entropy_bits(prediction.classes.values()) if prediction.classes else None,
            area_px=None if mask is None else int(np.count_nonzero(mask)),
            area_mm2=None if mask is None or not spacing else np.count_nonzero(mask) * spacing[0] * spacing[1],
            longest_px=None if mask is None else longest_diameter(mask, (1.0, 1.0)),
            longest_mm=None if mask is None or not spacing else longest_diameter(mask, spacing),
            touches_frame=None if mask is None else int(touches_frame(mask, placement)),
            warnings=prediction.warnings,
        )

    def values(self) -> dict[str, Any]:
        """Column -> value; one column `p_NAME` for each class."""
        values = dict(vars(self))
        classes = values.pop("classes")
        before = ("file", "slice", "slices", "height", "width", "row_mm", "column_mm")
        return {
            **{name: values.pop(name) for name in before},
            **{f"p_{name}": probability for name, probability in classes.items()},
            **values,
            "warnings": "; ".join(self.warnings),
        }


def csv_lines(rows: Sequence[Mapping[str, Any]], *, header: bool) -> str:
    """Rows of equal columns as csv."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows({name: csv_value(value, DIGITS) for name, value in row.items()} for row in rows)
    return text.getvalue()


def entropy_bits(probabilities: "Any") -> float:
    """Entropy of class probabilities in bits."""
    return -sum(p * math.log2(p) for p in probabilities if p > 0) + 0.0


def touches_frame(mask: NDArray[np.bool_], placement: Placement) -> bool:
    """Whether a mask reaches the edge of the image, or of the part that the network saw."""
    seen = mask[placement.seen()]
    return bool(seen[[0, -1]].any() or seen[:, [0, -1]].any())


def longest_diameter(mask: NDArray[np.bool_], spacing: Spacing) -> float:
    """Largest distance between two pixel corners of one 8-connected piece of a mask; 0 if it is empty.

    Args:
        mask: (H, W) bool.
        spacing: between rows and between columns, in the unit of the result.
    """
    box = overlap.bounding_box(mask)
    if box is None:
        return 0.0
    from scipy import ndimage

    pieces, n = ndimage.label(mask[box], structure=np.ones((3, 3)))
    return max(_diameter(pieces == piece, spacing) for piece in range(1, n + 1))


def _diameter(piece: NDArray[np.bool_], spacing: Spacing) -> float:
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist

    rows = np.flatnonzero(piece.any(axis=1))
    # The outermost corners of a row lie on its first and last pixel.
    first, last = piece[rows].argmax(axis=1), piece.shape[1] - piece[rows, ::-1].argmax(axis=1)
    corners = [
        (row + down, column)
        for down in (0, 1)
        for ends in (first, last)
        for row, column in zip(rows, ends, strict=True)
    ]
    points = np.unique(np.array(corners, dtype=np.float64), axis=0) * np.array(spacing)
    return float(pdist(points[ConvexHull(points).vertices]).max())


@dataclass(frozen=True)
class TruthRow:
    """One line of truth.csv, with the metrics of `cases.csv`.

    Attributes:
        file, slice: as in predictions.csv.
        label: true class; None if unknown.
        correct: 1 where it is the predicted one.
        dice: 0..1, 1 where both masks are empty; None without a true mask or a predicted one.
        hd95_mm: 95 % Hausdorff distance; the image diagonal where one mask is empty; None without spacing.
        hd95_px: the same in pixels.
    """

    file: str
    slice: int
    label: str | None
    correct: int | None
    dice: float | None
    hd95_mm: float | None
    hd95_px: float | None

    @classmethod
    def of(
        cls, row: SliceRow, mask: NDArray[np.bool_] | None, truth: NDArray[np.bool_] | None, label: str | None
    ) -> "TruthRow":
        """Compare one slice with its true mask and label, if known."""
        dice = hd95_px = hd95_mm = None
        if mask is not None and truth is not None:
            dice = overlap.dice(overlap.count_pixels(mask, truth))
            hd95_px = surface.hd95_mm(surface.surface_distances(mask, truth, 1.0))
            if row.row_mm is not None and row.column_mm is not None:
                hd95_mm = surface.hd95_mm(surface.surface_distances(mask, truth, (row.row_mm, row.column_mm)))
        correct = None if label is None or row.predicted is None else int(label == row.predicted)
        return cls(row.file, row.slice, label, correct, dice, hd95_mm, hd95_px)
