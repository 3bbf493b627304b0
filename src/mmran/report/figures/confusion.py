"""Figure of kind confusion: true against predicted class, one matrix per network."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from mmran.config.figures import FigureSpec
from mmran.data.classes import class_title
from mmran.metrics import classification
from mmran.report.figures import style
from mmran.report.figures.rows import Row, labels, sentence, source

MOST_COLUMNS = 4
SCALE = colormaps["Blues"]
_LEFT_INCHES, _HEAD_INCHES, _FOOT_INCHES, _GAP_INCHES, _SCALE_INCHES = 0.82, 0.4, 0.64, 0.11, 0.62
_PANEL_INCHES = (style.WIDTH_INCHES - _LEFT_INCHES - _SCALE_INCHES - 3 * _GAP_INCHES) / MOST_COLUMNS


def counts(row: Row) -> NDArray[np.int64]:
    """(K, K) test slices by true class (rows) and predicted class (columns), summed over folds and seeds."""
    matrices = [
        classification.confusion_matrix(
            cases["label"].to_numpy(dtype=np.int64) - 1,
            cases["predicted"].to_numpy(dtype=np.int64) - 1,
            len(row.classes),
        )
        for cases in row.classified()
    ]
    return np.sum(matrices, axis=0)


def row_shares(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share, 0 to 1, of each true class that gets each predicted class; NaN for a class without test slices."""
    totals = matrix.sum(axis=1, keepdims=True)
    return np.divide(matrix, totals, out=np.full(matrix.shape, np.nan), where=totals > 0)


def draw(spec: FigureSpec, rows: Sequence[Row]) -> style.Drawing:
    """One matrix per classifying network: counts, and percentages of each row on one scale."""
    classifying = [row for row in rows if row.classifies]
    if not classifying:
        return style.message(spec.title, "No network of this figure predicts classes.")
    n_bands = -(-len(classifying) // MOST_COLUMNS)
    band = _HEAD_INCHES + _PANEL_INCHES
    figure = style.new_figure(n_bands * band + _FOOT_INCHES)
    for i, row in enumerate(classifying):
        line, column = divmod(i, MOST_COLUMNS)
        left = _LEFT_INCHES + column * (_PANEL_INCHES + _GAP_INCHES)
        axes = style.place(figure, left, line * band + _HEAD_INCHES, _PANEL_INCHES, _PANEL_INCHES)
        below_is_empty = i + MOST_COLUMNS >= len(classifying)
        _draw_matrix(axes, row, first=column == 0, last=below_is_empty)
    columns = min(len(classifying), MOST_COLUMNS)
    right = _LEFT_INCHES + columns * (_PANEL_INCHES + _GAP_INCHES)
    middle = (_LEFT_INCHES + right - _GAP_INCHES) / 2
    style.write(figure, middle, n_bands * band + _FOOT_INCHES - 0.16, "predicted class", ha="center")
    scale = style.place(figure, right, _HEAD_INCHES, 0.09, _PANEL_INCHES)
    figure.colorbar(ScalarMappable(Normalize(0, 100), SCALE), cax=scale, ticks=(0, 25, 50, 75, 100))
    scale.set_ylabel("share of the true class (%)", labelpad=3)
    return style.Drawing(figure, _caption(spec, rows, classifying))


def _draw_matrix(axes: Axes, row: Row, first: bool, last: bool) -> None:
    matrix = counts(row)
    shares = row_shares(matrix)
    colors = SCALE(np.nan_to_num(shares, nan=0.0))
    colors[np.isnan(shares)] = (0.92, 0.92, 0.92, 1)
    axes.imshow(colors)
    n = len(matrix)
    shrink = min(1, 3 / n)
    for i, j in np.ndindex(matrix.shape):
        share = shares[i, j]
        percent = "–" if np.isnan(share) else f"{100 * share:.1f} %"
        ink = "white" if share > 0.55 else "black"
        axes.text(j, i - 0.1, f"{matrix[i, j]}", ha="center", va="center", color=ink, fontsize=9 * shrink)
        axes.text(j, i + 0.22, percent, ha="center", va="center", color=ink, fontsize=6 * shrink)
    axes.plot(0.03, 1.17, "s", color=style.color(row.style), markersize=4.5, transform=axes.transAxes, clip_on=False)
    size = style.fitting_size([row.label], 8, 0.9 * _PANEL_INCHES)
    axes.text(0.09, 1.145, row.label, transform=axes.transAxes, fontsize=size)
    accuracy = f"Acc {100 * classification.accuracy(matrix):.2f} %"
    axes.text(0.09, 1.04, accuracy, transform=axes.transAxes, fontsize=6.5)
    axes.set(xticks=range(n), yticks=range(n), xticklabels=[], yticklabels=[])
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(0.5, n - 1), minor=True)
    axes.set_yticks(np.arange(0.5, n - 1), minor=True)
    axes.grid(which="minor", color="white", linewidth=1.2)
    axes.tick_params(which="minor", length=0)
    if first:
        axes.set_yticklabels([class_title(name).replace(" ", "\n") for name in row.classes])
        axes.set_ylabel("true class")
    if last:
        # Slanted, because a column is narrower than the longest name.
        axes.set_xticklabels(row.classes, fontsize=6, rotation=-30, ha="left", rotation_mode="anchor")


def _caption(spec: FigureSpec, rows: Sequence[Row], classifying: Sequence[Row]) -> str:
    sentences = [
        f"{spec.title}. Test slices by true and predicted class, and as a share of the true class, which the "
        "shade shows from white (0 %) to dark (100 %), on one scale for all matrices.",
    ]
    if absent := rows[0].summary.absent_classes:
        sentences.append(f"No test slice of class {' and '.join(absent)}, so no share of it.")
    if several := [row for row in classifying if len(row.seeds) > 1]:
        sentences.append(sentence(f"Summed over the seeds of {labels(several)}"))
    if left_out := [row for row in rows if not row.classifies]:
        sentences.append(sentence(f"Omitted because they predict no classes: {labels(left_out)}"))
    return " ".join([*sentences, source(rows)])
