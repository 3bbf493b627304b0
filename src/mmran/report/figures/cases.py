"""Figure of kind cases: the worst, the median and the best test slice of each class, for every segmenting network."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from mmran.config.figures import FigureSpec
from mmran.data.classes import class_title
from mmran.data.store import SliceStore
from mmran.report.figures import pictures, style
from mmran.report.figures.rows import Row, labels, sentence, source

PLACES = ("worst", "median", "best")
_GAP_INCHES, _PAIR_GAP_INCHES = 0.03, 0.1
_LEFT_INCHES = 0.2
_PANEL_INCHES = (style.WIDTH_INCHES - _LEFT_INCHES - 3 * _GAP_INCHES - 2 * _PAIR_GAP_INCHES) / 6
_HEAD_INCHES, _NOTE_INCHES = 0.42, 0.3
_LINE_INCHES = _PANEL_INCHES + _NOTE_INCHES


def chosen_cases(row: Row, label: int) -> dict[str, Mapping[Any, Any]]:
    """The slices of a class with the lowest, the median and the highest Dice of the first seed.

    Args:
        row: a segmenting network.
        label: class, from 1.

    Returns:
        Place -> case. For an even number, the lower of the two middle slices; equal Dice in the order of the slice
        numbers; fewer places for fewer than three slices.
    """
    cases = row.pictured(row.variant)
    ordered = cases[cases["label"] == label].sort_values("dice", kind="stable").to_dict("records")
    chosen: dict[str, Mapping[Any, Any]] = {}
    for place, rank in zip(PLACES, (0, (len(ordered) - 1) // 2, len(ordered) - 1), strict=True):
        if ordered and all(ordered[rank] is not other for other in chosen.values()):
            chosen[place] = ordered[rank]
    return chosen


def draw(spec: FigureSpec, rows: Sequence[Row], store: SliceStore) -> style.Drawing:
    """Per network and class a line of three pairs: the slice, and the outlines of prediction and truth on it."""
    pictures.check_store(rows, store)
    segmenting = [row for row in rows if row.segments]
    if not segmenting:
        return style.message(spec.title, "No network of this figure predicts masks.")
    lines = [
        (row, name, chosen)
        for row in segmenting
        for label, name in enumerate(map(class_title, row.classes or ("",)), start=1)
        if (chosen := chosen_cases(row, label))
    ]
    tops: list[float] = []
    height = 0.0
    for i, (row, _, _) in enumerate(lines):
        height += _HEAD_INCHES if i == 0 or lines[i - 1][0] is not row else 0
        tops.append(height)
        height += _LINE_INCHES
    figure = style.new_figure(height)
    for i, (row, name, chosen) in enumerate(lines):
        if i == 0 or lines[i - 1][0] is not row:
            _draw_head(figure, tops[i], row)
        _draw_line(figure, tops[i], row, name, chosen, store)
    return style.Drawing(figure, _caption(spec, rows, segmenting, pictures.shown_channel(store)))


def _left(place: int, panel: int) -> float:
    pair = 2 * _PANEL_INCHES + _GAP_INCHES + _PAIR_GAP_INCHES
    return _LEFT_INCHES + place * pair + panel * (_PANEL_INCHES + _GAP_INCHES)


def _draw_head(figure: Figure, top: float, row: Row) -> None:
    style.write(figure, _LEFT_INCHES, top - _HEAD_INCHES + 0.03, row.label, fontsize=8, weight="bold")
    for i, place in enumerate(PLACES):
        style.write(figure, _left(i, 0) + _PANEL_INCHES, top - 0.17, place, ha="center", fontsize=8)


def _draw_line(
    figure: Figure, top: float, row: Row, name: str, chosen: Mapping[str, Mapping[Any, Any]], store: SliceStore
) -> None:
    middle = top + _PANEL_INCHES / 2
    style.write(figure, 0.05, middle, name, rotation=90, va="center", fontsize=7)
    masks = pictures.predicted_masks(row, [int(case["slice"]) for case in chosen.values()], row.variant)
    for i, place in enumerate(PLACES):
        if place not in chosen:
            continue
        case = chosen[place]
        number = int(case["slice"])
        image, true_mask = store.read(number)
        picture, truth = pictures.windowed(image, store.channels), true_mask != 0
        box = pictures.square_around(truth | masks[number], margin=0.4)
        whole, near = (style.place(figure, _left(i, k), top, _PANEL_INCHES, _PANEL_INCHES) for k in range(2))
        pictures.show(whole, picture, pictures.head_box(picture, box))
        pictures.mark(whole, box)
        pictures.show(near, picture, box)
        pictures.outline(near, masks[number], 1.3, color=style.color(row.style))
        pictures.outline(near, truth, 0.9, **pictures.TRUTH_LINE)
        pictures.scale_bar(near, box, pictures.spacing_mm(store, number))
        note = f"slice {number}, Dice {100 * case['dice']:.1f} %{taken_for(case, row.classes)}"
        size = style.fitting_size(note.splitlines(), 6.5, 2 * _PANEL_INCHES)
        style.write(figure, _left(i, 0) + _PANEL_INCHES, top + _PANEL_INCHES + 0.03, note, ha="center", fontsize=size)


def taken_for(case: Mapping[Any, Any], classes: Sequence[str]) -> str:
    """A second line with the predicted class if it is wrong; empty if it is right or not predicted."""
    predicted = case["predicted"]
    if pd.isna(predicted) or predicted == case["label"]:
        return ""
    return f"\npredicted {class_title(classes[int(predicted) - 1])}"


def _caption(spec: FigureSpec, rows: Sequence[Row], segmenting: Sequence[Row], channel: Sequence[str]) -> str:
    sentences = [
        f"{spec.title}. The test slices of each class with the lowest, the median and the highest Dice, under the "
        "first seed: the whole slice, and the marked square enlarged with the network's outline in its color over the "
        "true one, dashed in white.",
        *channel,
    ]
    if filled := [row for row in segmenting if row.variant != "raw"]:
        sentences.append(sentence(f"Holes filled: {labels(filled)}"))
    if left_out := [row for row in rows if not row.segments]:
        sentences.append(sentence(f"Omitted because they predict no masks: {labels(left_out)}"))
    return " ".join([*sentences, source(rows)])
