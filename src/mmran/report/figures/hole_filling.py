"""Figure of kind hole-filling: the test slices that gain the most Dice when holes are filled."""

from collections.abc import Mapping, Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmran.config.figures import FigureSpec
from mmran.data.store import SliceStore
from mmran.report.figures import pictures, style
from mmran.report.figures.rows import Row, labels, source

N_SLICES = 2
COLUMNS = ("slice", "before filling", "after filling", "truth")
_GAP_INCHES = 0.06
_PANEL_INCHES = (style.WIDTH_INCHES - 3 * _GAP_INCHES) / 4
_HEAD_INCHES = 0.24
_FOOT_INCHES = 0.34


def largest_gains(row: Row) -> pd.DataFrame:
    """The slices of the first seed that gain the most Dice, at most `N_SLICES`, best first.

    Returns:
        DataFrame with slice, label, before, after (Dice 0..1) and gain above 0; equal gains in the order of the
        slice numbers.
    """
    raw, filled = row.pictured("raw"), row.pictured("pkp")
    table = raw[["slice", "label"]].assign(before=raw["dice"], after=filled["dice"])
    table["gain"] = table["after"] - table["before"]
    return table[table["gain"] > 0].sort_values("gain", ascending=False, kind="stable").head(N_SLICES)


def draw(spec: FigureSpec, rows: Sequence[Row], store: SliceStore) -> style.Drawing:
    """Slice, mask before and after filling, and truth, for the best slices of every segmenting row."""
    pictures.check_store(rows, store)
    segmenting = [row for row in rows if row.segments]
    chosen = [(row, largest_gains(row)) for row in segmenting]
    without = [row for row, gains in chosen if gains.empty]
    if len(without) == len(chosen):
        return style.message(spec.title, _nothing(segmenting))
    lines = [(row, case) for row, gains in chosen for case in gains.to_dict("records")]
    band = _PANEL_INCHES + _FOOT_INCHES
    figure = style.new_figure(_HEAD_INCHES + len(lines) * (band + _GAP_INCHES))
    for i, title in enumerate(COLUMNS):
        style.write(figure, i * (_PANEL_INCHES + _GAP_INCHES) + _PANEL_INCHES / 2, 0.06, title, ha="center", fontsize=8)
    for i, (row, case) in enumerate(lines):
        _draw_line(figure, _HEAD_INCHES + i * (band + _GAP_INCHES), row, case, store, ascii_lowercase[i % 26])
    return style.Drawing(figure, _caption(spec, lines, without, pictures.shown_channel(store)))


def _draw_line(figure: Any, top: float, row: Row, case: Mapping[Any, Any], store: SliceStore, letter: str) -> None:
    number = int(case["slice"])
    image, true_mask = store.read(number)
    truth = true_mask != 0
    before = pictures.predicted_masks(row, [number], "raw")[number]
    after = pictures.predicted_masks(row, [number], "pkp")[number]
    box = pictures.square_around(truth | after, margin=0.3)
    panels = [
        style.place(figure, i * (_PANEL_INCHES + _GAP_INCHES), top, _PANEL_INCHES, _PANEL_INCHES) for i in range(4)
    ]
    picture = pictures.windowed(image, store.channels)
    pictures.show(panels[0], picture, pictures.head_box(picture, box))
    pictures.mark(panels[0], box)
    for axes, mask in zip(panels[1:], (before, after, truth), strict=True):
        pictures.show(axes, _painted(mask, mask & ~before if mask is after else None), box)
    pictures.scale_bar(panels[3], box, pictures.spacing_mm(store, number))
    panels[0].text(
        0.03, 0.97, letter, transform=panels[0].transAxes, color="white", fontsize=9, weight="bold", va="top"
    )
    notes = (
        f"{row.label}\n{pictures.lesion_name(case, row.classes)}",
        f"Dice {100 * case['before']:.2f} %",
        f"Dice {100 * case['after']:.2f} %\ngain {100 * case['gain']:.2f} points",
    )
    for i, note in enumerate(notes):
        left = i * (_PANEL_INCHES + _GAP_INCHES)
        size = style.fitting_size(note.splitlines(), 7, _PANEL_INCHES)
        style.write(figure, left + _PANEL_INCHES / 2, top + _PANEL_INCHES + 0.05, note, ha="center", fontsize=size)


def _painted(mask: NDArray[np.bool_], filled: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    """(H, W, 3) of 0..1: tumor white on black, filled holes in the accent color."""
    canvas = np.repeat(mask[..., None].astype(np.float64), 3, axis=2)
    if filled is not None:
        canvas[filled] = [int(style.ACCENT[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return canvas


def _nothing(segmenting: Sequence[Row]) -> str:
    if not segmenting:
        return "No network of this figure predicts masks, so there are no holes to fill."
    return (
        f"No test slice of {labels(segmenting)} gains Dice from hole filling: the predicted masks are solid, "
        "or their holes are not tumor."
    )


def _caption(spec: FigureSpec, lines: Sequence[tuple[Row, Any]], without: Sequence[Row], channel: Sequence[str]) -> str:
    cases = [
        f"({ascii_lowercase[i % 26]}) {row.label}, {pictures.lesion_name(case, row.classes)}: "
        f"Dice {100 * case['before']:.2f} % to {100 * case['after']:.2f} %, {100 * case['gain']:.2f} points more"
        for i, (row, case) in enumerate(lines)
    ]
    sentences = [
        f"{spec.title}. The test slices that gain the most Dice when holes are filled, at most {N_SLICES} per "
        "network, under its first seed; filled pixels in orange, the enlarged square marked.",
        f"{'; '.join(cases)}.",
        *channel,
    ]
    if without:
        sentences.append(f"No test slice of {labels(without)} gains.")
    if gains := spec.paper_gain:
        sentences.append(f"The paper shows gains of {' and '.join(f'{gain:.2f}' for gain in gains)} points.")
    return " ".join([*sentences, source([row for row, _ in lines])])
