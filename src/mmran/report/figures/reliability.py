"""Figure of kind reliability: how often a class predicted with a certain probability is right."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmran.config.figures import FigureSpec
from mmran.report.figures import style
from mmran.report.figures.rows import Row, labels, sentence, source
from mmran.statistics.calibration import calibrations, reliability_bins

_LEFT_INCHES, _HEAD_INCHES, _FOOT_INCHES, _WIDE_INCHES, _HIGH_INCHES = 0.5, 0.12, 0.42, 4.4, 3.0
LEAST_CONFIDENCE = 100 / 3
"""The probability of the most probable of three classes is at least a third; in percent."""


def curve(row: Row) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(B,) mean probability of the predicted class and (B,) share of right classes of each bin, over the seeds.

    Bins hold equal numbers of slices, so their borders differ between seeds: bins are averaged by rank.
    """
    bins = reliability_bins([row.tested()])
    places = sorted({one.bin for one in bins})
    pairs = [
        (
            np.mean([one.confidence for one in bins if one.bin == i]),
            np.mean([one.accuracy for one in bins if one.bin == i]),
        )
        for i in places
    ]
    confidence, accuracy = np.array(pairs, dtype=np.float64).T
    return confidence, accuracy


def draw(spec: FigureSpec, rows: Sequence[Row]) -> style.Drawing:
    """One panel with a line per classifying network, the expected calibration error in the legend."""
    classifying = [row for row in rows if row.classifies]
    if not classifying:
        return style.message(spec.title, "No network of this figure predicts classes.")
    figure = style.new_figure(_HEAD_INCHES + _HIGH_INCHES + _FOOT_INCHES)
    axes = style.place(figure, _LEFT_INCHES, _HEAD_INCHES, _WIDE_INCHES, _HIGH_INCHES)
    axes.plot([0, 100], [0, 100], color="0.75", linewidth=0.6)
    for row, found in zip(classifying, calibrations([row.tested() for row in classifying]), strict=True):
        confidence, accuracy = curve(row)
        label = f"{f'{100 * found.ece:.1f}'.rjust(4, style.FIGURE_SPACE)}  {row.label}"
        axes.plot(100 * confidence, 100 * accuracy, marker="o", markersize=2.5, label=label, **style.line(row.style))
    axes.set(
        xlim=(LEAST_CONFIDENCE, 101), ylim=(0, 101), xlabel="probability of the predicted class (%)", ylabel="right (%)"
    )
    axes.spines[["top", "right"]].set_visible(False)
    room = style.WIDTH_INCHES - _LEFT_INCHES - _WIDE_INCHES - 1.05
    axes.legend(
        title="ECE (%)",
        title_fontsize=7,
        fontsize=style.fitting_size([row.label for row in classifying], 7, room),
        loc="upper left",
        bbox_to_anchor=(1.03, 1.0),
        frameon=False,
        handlelength=3.4,
        alignment="left",
        borderpad=0,
    )
    return style.Drawing(figure, _caption(spec, rows, classifying))


def _caption(spec: FigureSpec, rows: Sequence[Row], classifying: Sequence[Row]) -> str:
    sentences = [
        f"{spec.title}. Test slices in ten bins of equal number by the probability of the predicted class: its mean, "
        "and the share of right classes. On the diagonal, probabilities are calibrated; below it, a network is "
        "overconfident. ECE: expected calibration error, the mean distance from the diagonal.",
    ]
    if several := [row for row in classifying if len(row.seeds) > 1]:
        sentences.append(sentence(f"Mean over the seeds of {labels(several)}"))
    if left_out := [row for row in rows if not row.classifies]:
        sentences.append(sentence(f"Omitted because they predict no classes: {labels(left_out)}"))
    return " ".join([*sentences, source(rows)])
