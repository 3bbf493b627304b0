"""Figure of kind roc: ROC curves of every class against the others."""

import math
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from mmran.config.figures import FigureSpec
from mmran.data.classes import class_title
from mmran.errors import UserError
from mmran.evaluation.postprocess import RAW
from mmran.evaluation.predictions import class_columns
from mmran.report.figures import style
from mmran.report.figures.rows import Row, labels, sentence, source
from mmran.statistics.intervals import Bootstrap, interval

_LEFT_INCHES, _HEAD_INCHES, _GAP_INCHES = 0.42, 0.25, 0.22
MOST_COLUMNS = 3
_PANEL_INCHES = (style.WIDTH_INCHES - _LEFT_INCHES - (MOST_COLUMNS - 1) * _GAP_INCHES - 0.08) / MOST_COLUMNS
_LEGEND_TOP_INCHES, _ENTRY_INCHES = 0.42, 0.146
CORNER = 0.3
"""Side of the upper left corner that is enlarged where curves crowd."""
ENLARGED_FROM_AUC = 0.85
INSET_SIDES = tuple(side / 100 for side in range(46, 23, -2))
INSET_RIGHT, INSET_BOTTOM, INSET_MARGIN = 0.99, 0.1, 0.08
"""Edges of the inset and the gap to the nearest curve, in rates."""
_TICKS = ("0", "0.5", "1")
_SHADE = "0.94"

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def roc_curve(positive: NDArray[np.bool_], score: NDArray[np.floating]) -> Curve:
    """The corners of a ROC curve: (K,) false and (K,) true positive rates from (0, 0) to (1, 1).

    Equal scores form one step, drawn as a slope, so that the area below equals `classification.auc`.

    Args:
        positive: (N,) bool with both values present.
        score: (N,) float.
    """
    thresholds, inverse = np.unique(-np.asarray(score, dtype=np.float64), return_inverse=True)
    positives = np.bincount(inverse[positive], minlength=len(thresholds)).cumsum()
    negatives = np.bincount(inverse[~positive], minlength=len(thresholds)).cumsum()
    return np.r_[0.0, negatives / negatives[-1]], np.r_[0.0, positives / positives[-1]]


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean true positive rate at every false positive rate; its area is the mean of the areas."""
    rates = np.unique(np.concatenate([x for x, _ in curves]))
    limits = [_limits(curve, rates) for curve in curves]
    incoming, outgoing = (np.mean(side, axis=0) for side in zip(*limits, strict=True))
    return np.repeat(rates, 2), np.stack([incoming, outgoing], axis=1).ravel()


def _limits(curve: Curve, rates: NDArray[np.float64]) -> Curve:
    """True positive rates where a curve reaches each false positive rate and where it leaves it.

    The two differ where it rises straight up.
    """
    x, y = curve
    known, first = np.unique(x, return_index=True)
    lower, upper = y[first], y[np.r_[first[1:], len(x)] - 1]
    after = np.searchsorted(known, rates)  # known[after - 1] < rate <= known[after]
    before = np.maximum(after - 1, 0)
    step = known[after] - known[before]
    share = np.divide(rates - known[before], step, out=np.ones_like(rates), where=step > 0)
    incoming = upper[before] + share * (lower[after] - upper[before])
    return incoming, np.where(known[after] == rates, upper[after], incoming)


def class_auc(row: Row, k: int) -> float:
    """AUC of class `k` against the others as in the tables, within folds and averaged over seeds; NaN if undefined."""
    value = row.summary.variants[RAW][f"auc_{row.classes[k]}"]
    return math.nan if value is None else value


def class_curve(row: Row, k: int) -> Curve:
    """ROC curve of class `k` against the others, folds pooled, the mean over the seeds."""
    return mean_curve(
        [
            roc_curve(
                (cases["label"] == k + 1).to_numpy(), cases[class_columns(row.classes)[k]].to_numpy(dtype=np.float64)
            )
            for cases in row.classified()
        ]
    )


def draw(spec: FigureSpec, rows: Sequence[Row]) -> style.Drawing:
    """One panel per class, one curve per classifying network, AUC and interval in the legend."""
    classifying = [row for row in rows if row.classifies]
    if not classifying:
        return style.message(spec.title, "No network of this figure predicts classes.")
    legend_inches = _LEGEND_TOP_INCHES + (len(classifying) + 1) * _ENTRY_INCHES + 0.1
    classes = classifying[0].classes
    band_inches = _HEAD_INCHES + _PANEL_INCHES + legend_inches
    figure = style.new_figure(-(-len(classes) // MOST_COLUMNS) * band_inches)
    undefined = []
    bounds = auc_bounds(classifying)
    for k, name in enumerate(classes):
        band, column = divmod(k, MOST_COLUMNS)
        left = _LEFT_INCHES + column * (_PANEL_INCHES + _GAP_INCHES)
        axes = style.place(figure, left, band * band_inches + _HEAD_INCHES, _PANEL_INCHES, _PANEL_INCHES)
        axes.set_title(class_title(name), fontsize=8, pad=4)
        _frame(axes, first=column == 0)
        areas = [class_auc(row, k) for row in classifying]
        if any(math.isnan(area) for area in areas):
            undefined.append(_say_undefined(axes, k, classifying))
            continue
        names = [_legend_text(row, area, known[k]) for row, area, known in zip(classifying, areas, bounds, strict=True)]
        _draw_panel(axes, [class_curve(row, k) for row in classifying], areas, names, classifying)
    intervals = any(known is not None for of_row in bounds for known in of_row)
    return style.Drawing(figure, _caption(spec, rows, classifying, undefined, intervals))


def auc_bounds(rows: Sequence[Row]) -> list[list[tuple[float, float] | None]]:
    """95 % interval, over patient families, of each row's AUC of each class; None if there is none."""
    tested = [row.tested() for row in rows]
    try:
        bootstrap = Bootstrap(tested[0].families)
        found = [[interval(row, f"auc_{name}", bootstrap) for name in row.classes] for row in tested]
    except UserError:
        # One family or one class: the caption does not mention intervals.
        return [[None] * len(row.classes) for row in rows]
    return [
        [None if one.low is None or one.high is None else (one.low, one.high) for one in of_row] for of_row in found
    ]


def _legend_text(row: Row, area: float, bounds: tuple[float, float] | None) -> str:
    texts = [f"{100 * area:.2f}".rjust(6, style.FIGURE_SPACE)]
    if bounds:
        texts.append(f"[{', '.join(f'{100 * bound:.1f}' for bound in bounds)}]")
    return "  ".join([*texts, row.label])


def _frame(axes: Axes, first: bool) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1], xlabel="false positive rate")
    axes.set_xticklabels(_TICKS)
    axes.set_yticklabels(_TICKS if first else ())
    axes.set_ylabel("true positive rate" if first else "")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_panel(
    axes: Axes, curves: Sequence[Curve], areas: Sequence[float], names: Sequence[str], rows: Sequence[Row]
) -> None:
    inset = free_square(curves) if float(np.median(areas)) >= ENLARGED_FROM_AUC else None
    places = [axes, axes.inset_axes(inset)] if inset else [axes]
    for place in places:
        place.plot([0, 1], [0, 1], color="0.75", linewidth=0.6)
        for (x, y), name, row in zip(curves, names, rows, strict=True):
            place.plot(x, y, label=name, clip_on=place is not axes, **style.line(row.style))
        place.set_aspect("equal")
    if inset:
        _frame_corner(axes, places[1])
    legend = axes.legend(
        *axes.get_legend_handles_labels(),
        title="AUC (%)",
        fontsize=style.fitting_size(names, 7, _PANEL_INCHES - 0.32),
        loc="upper left",
        bbox_to_anchor=(-0.02, -_LEGEND_TOP_INCHES / _PANEL_INCHES + 0.02),
        frameon=False,
        handlelength=2.6,
        handletextpad=0.5,
        alignment="left",
        borderpad=0,
    )
    legend.get_title().set_fontsize(7)


def free_square(curves: Sequence[Curve]) -> tuple[float, float, float, float] | None:
    """The largest square in the lower right that no curve enters: left, bottom, width and height in rates.

    Args:
        curves: ROC curves, which never fall: one that is above the upper left corner of the square does not enter it.

    Returns:
        None if curves leave no room for a legible square.
    """
    for side in INSET_SIDES:
        left, top = INSET_RIGHT - side, INSET_BOTTOM + side
        start = np.array([left - INSET_MARGIN])
        # The diagonal is drawn too.
        if min(left, *(float(_limits(curve, start)[0][0]) for curve in curves)) >= top + INSET_MARGIN:
            return (left, INSET_BOTTOM, side, side)
    return None


def _frame_corner(axes: Axes, corner: Axes) -> None:
    corner.set(xlim=(0, CORNER), ylim=(1 - CORNER, 1), xticks=(0, CORNER), yticks=(1 - CORNER, 1))
    corner.set_xticklabels(("0", f"{CORNER:g}"))
    corner.set_yticklabels((f"{1 - CORNER:g}", "1"))
    corner.tick_params(labelsize=5.5, length=1.5, pad=1.5)
    corner.set_facecolor(_SHADE)
    axes.add_patch(Rectangle((0, 1 - CORNER), CORNER, CORNER, facecolor=_SHADE, zorder=0))


def _say_undefined(axes: Axes, k: int, rows: Sequence[Row]) -> str:
    """Say in a panel why it has no curves.

    Returns:
        The same as a sentence.
    """
    article = "No" if not any((row.cases["label"] == k + 1).any() for row in rows) else "Every"
    said = f"{article} test slice is of class {class_title(rows[0].classes[k])}: its curve and AUC are not defined."
    axes.text(0.5, 0.5, textwrap.fill(said, 28), ha="center", va="center", color="0.25", fontsize=8)
    return said


def _caption(
    spec: FigureSpec, rows: Sequence[Row], classifying: Sequence[Row], undefined: Sequence[str], intervals: bool
) -> str:
    others = {2: "other", 3: "other two"}.get(len(classifying[0].classes), "others")
    brackets = ", with 95 % intervals over patient families in brackets" if intervals else ""
    sentences = [
        f"{spec.title}. Each class against the {others}; curves pool the folds, AUC is within folds{brackets}. An "
        "inset enlarges the upper left corner where curves crowd.",
        *undefined,
    ]
    if several := [row for row in classifying if len(row.seeds) > 1]:
        sentences.append(sentence(f"True positive rates averaged over the seeds of {labels(several)}"))
    if left_out := [row for row in rows if not row.classifies]:
        sentences.append(sentence(f"Omitted because they predict no classes: {labels(left_out)}"))
    return " ".join([*sentences, source(rows)])
