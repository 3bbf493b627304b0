"""Figure of kind curves: training loss and validation metrics of every network over the epochs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from mmran.config.figures import FigureSpec
from mmran.errors import UserError
from mmran.report.figures import style
from mmran.report.figures.rows import Row, labels, sentence, source

PANELS = {"loss": "training loss", "val_dice": "validation Dice (%)", "val_acc": "validation Acc (%)"}
"""Column of history.csv -> heading of its panel."""
_LEFT_INCHES, _HEAD_INCHES, _GAP_INCHES, _FOOT_INCHES = 0.42, 0.25, 0.4, 0.42
_PANEL_INCHES = (style.WIDTH_INCHES - _LEFT_INCHES - 2 * _GAP_INCHES - 0.08) / 3
_LEGEND_COLUMNS, _ENTRY_INCHES = 4, 0.16


@dataclass(frozen=True)
class Curve:
    """One network in one panel, averaged over its trials.

    Attributes:
        row: the network.
        epochs: (E,) epoch from 1.
        values: (E,) mean of the trials that have the epoch.
    """

    row: Row
    epochs: NDArray[np.int64]
    values: NDArray[np.float64]


def read_histories(row: Row) -> pd.DataFrame:
    """The history.csv of an experiment, all its trials.

    Raises:
        UserError: it is absent or lacks a column.
    """
    path = Path(row.predictions).with_name("history.csv")
    if not path.is_file():
        raise UserError(f"{path}: no such file; train {row.experiment} first")
    history = pd.read_csv(path)
    if missing := [name for name in ("seed", "fold", "epoch") if name not in history.columns]:
        raise UserError(f"{path}: lacks the column {missing[0]}; train {row.experiment} again")
    return history


def curve(row: Row, history: pd.DataFrame, column: str) -> Curve | None:
    """One network's curve; None if it has no such column, as a network without masks has no Dice."""
    if column not in history.columns or history[column].isna().all():
        return None
    means = history.groupby("epoch", sort=True)[column].mean().dropna()
    epochs = means.index.to_numpy(dtype=np.int64) + 1
    return Curve(row, epochs, means.to_numpy(dtype=np.float64))


def draw(spec: FigureSpec, rows: Sequence[Row]) -> style.Drawing:
    """Three panels with one line per network."""
    histories = [read_histories(row) for row in rows]
    n_lines = -(-len(rows) // _LEGEND_COLUMNS)
    figure = style.new_figure(_HEAD_INCHES + _PANEL_INCHES + _FOOT_INCHES + n_lines * _ENTRY_INCHES + 0.08)
    without: dict[str, list[Row]] = {}
    for i, (column, title) in enumerate(PANELS.items()):
        left = _LEFT_INCHES + i * (_PANEL_INCHES + _GAP_INCHES)
        axes = style.place(figure, left, _HEAD_INCHES, _PANEL_INCHES, _PANEL_INCHES)
        axes.set_title(title, fontsize=8, pad=4)
        found = [curve(row, history, column) for row, history in zip(rows, histories, strict=True)]
        _draw_panel(axes, [one for one in found if one is not None], column)
        if lacking := [row for row, one in zip(rows, found, strict=True) if one is None]:
            without[title.removesuffix(" (%)")] = lacking
    _draw_legend(figure.axes[0], rows)
    return style.Drawing(figure, _caption(spec, rows, histories, without))


def _draw_panel(axes: Axes, curves: Sequence[Curve], column: str) -> None:
    is_loss = column == "loss"
    for one in curves:
        # A single epoch is a point, which a line would not show.
        marker = "o" if len(one.epochs) == 1 else ""
        axes.plot(
            one.epochs, one.values * (1 if is_loss else 100), marker=marker, markersize=3, **style.line(one.row.style)
        )
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    axes.spines[["top", "right"]].set_visible(False)
    if not is_loss:
        axes.set_ylim(0, 101)
    elif curves and all((one.values > 0).all() for one in curves):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    if not curves:
        axes.text(0.5, 0.5, "no network has it", transform=axes.transAxes, ha="center", va="center", color="0.25")


def _draw_legend(axes: Axes, rows: Sequence[Row]) -> None:
    entries = [axes.plot([], [], label=row.label, **style.line(row.style))[0] for row in rows]
    column_inches = (style.WIDTH_INCHES - _LEFT_INCHES) / _LEGEND_COLUMNS - 0.55
    axes.legend(
        handles=entries,
        ncols=_LEGEND_COLUMNS,
        fontsize=style.fitting_size([row.label for row in rows], 7, column_inches),
        loc="upper left",
        bbox_to_anchor=(-0.02, -_FOOT_INCHES / _PANEL_INCHES + 0.03),
        frameon=False,
        handlelength=3.4,
        borderpad=0,
    )


def _caption(
    spec: FigureSpec, rows: Sequence[Row], histories: Sequence[pd.DataFrame], without: dict[str, list[Row]]
) -> str:
    sentences = [
        f"{spec.title}. Training loss, and Dice and accuracy on the validation slices, after every epoch. Networks "
        "use different losses, so losses are not comparable between networks.",
    ]
    trials = [len(history[["seed", "fold"]].drop_duplicates()) for history in histories]
    if several := [row for row, n in zip(rows, trials, strict=True) if n > 1]:
        sentences.append(sentence(f"Mean over the seeds and folds of {labels(several)}"))
    sentences += [sentence(f"Without {what}: {labels(lacking)}") for what, lacking in without.items()]
    return " ".join([*sentences, source(rows)])
