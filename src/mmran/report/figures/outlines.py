"""Figure of kind outlines: a large and a small tumor with the outline of every segmenting network."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mmran.config.figures import FigureSpec
from mmran.data.store import SliceStore
from mmran.report.figures import pictures, style
from mmran.report.figures.rows import Row, labels, sentence, source

PERCENTILES = {"Large tumor": 90, "Small tumor": 10}
MOST_COLUMNS = 8
LARGEST_PANEL_INCHES = 1.4
_GAP_INCHES = 0.05
_BESIDE_INCHES = 0.3
_HEAD_INCHES = 0.21
_TITLE_INCHES = 0.17
_NOTE_INCHES = 0.23


def chosen_slices(rows: Sequence[Row], index: pd.DataFrame) -> dict[str, int]:
    """The slices at the 90th and the 10th percentile of tumor area, chosen without looking at the predictions.

    Args:
        rows: the segmenting networks.
        index: the index of the store.

    Returns:
        "Large tumor" and "Small tumor" -> slice, among the test slices that all rows share, by nearest rank of area in
        mm²; equal areas in the order of the slice numbers. One entry for a single slice, none for none.
    """
    common = set.intersection(*(set(row.pictured("raw").index) for row in rows)) if rows else set()
    tested = index[index["slice"].isin(common)]
    area_mm2 = tested["tumor_px"] * tested["spacing_mm"] ** 2
    ordered = tested.assign(area_mm2=area_mm2).sort_values(["area_mm2", "slice"])["slice"].tolist()
    chosen: dict[str, int] = {}
    for name, percentile in PERCENTILES.items():
        rank = round((len(ordered) - 1) * percentile / 100)
        if ordered and ordered[rank] not in chosen.values():
            chosen[name] = int(ordered[rank])
    return chosen


@dataclass(frozen=True)
class Layout:
    """Positions of the panels of a block: bands of columns, each a whole slice above its enlarged lesion.

    Attributes:
        columns: columns of a band.
        panel: side of a panel in inches.
        band: height of a band in inches.
        block: height of all bands of one tumor and its heading in inches.
        beside: whether the blocks of two tumors fit beside each other on the page.
    """

    columns: int
    panel: float
    band: float
    block: float
    beside: bool

    @classmethod
    def of(cls, n_panels: int) -> "Layout":
        """The layout of `n_panels` columns, at most `MOST_COLUMNS` in a band."""
        columns = min(n_panels, MOST_COLUMNS)
        room = (style.WIDTH_INCHES - (columns - 1) * _GAP_INCHES) / columns
        panel = min(room, LARGEST_PANEL_INCHES)
        band = _TITLE_INCHES + 2 * panel + _GAP_INCHES + _NOTE_INCHES
        beside = columns * (panel + _GAP_INCHES) <= style.WIDTH_INCHES / len(PERCENTILES) - _BESIDE_INCHES
        return cls(columns, panel, band, _HEAD_INCHES + -(-n_panels // columns) * band, beside)

    def place(self, block: int) -> tuple[float, float]:
        """Left and top of a block in inches."""
        return (block * style.WIDTH_INCHES / len(PERCENTILES), 0) if self.beside else (0, block * self.block)

    def panels(self, figure: Figure, place: tuple[float, float], k: int, title: str, note: str) -> tuple[Axes, Axes]:
        """The two panels of column `k` in the block at (left, top), with a title above and a note below."""
        band, column = divmod(k, self.columns)
        left, top = place
        left += column * (self.panel + _GAP_INCHES)
        top += _HEAD_INCHES + band * self.band + _TITLE_INCHES
        center = left + self.panel / 2
        size = style.fitting_size([title], 7, self.panel)
        style.write(figure, center, top - 0.03, title, ha="center", va="baseline", fontsize=size)
        style.write(figure, center, top + 2 * self.panel + _GAP_INCHES + 0.04, note, ha="center")
        whole = style.place(figure, left, top, self.panel, self.panel)
        return whole, style.place(figure, left, top + self.panel + _GAP_INCHES, self.panel, self.panel)


def draw(spec: FigureSpec, rows: Sequence[Row], store: SliceStore) -> style.Drawing:
    """Per tumor a line of slices and a line of enlarged lesions: the truth, then one column per network."""
    pictures.check_store(rows, store)
    segmenting = [row for row in rows if row.segments]
    if not segmenting:
        return style.message(spec.title, "No network of this figure predicts masks.")
    chosen = chosen_slices(segmenting, store.index)
    if not chosen:
        return style.message(spec.title, f"{labels(segmenting)} have no test slice in common.")
    layout = Layout.of(1 + len(segmenting))
    figure = style.new_figure(layout.block * (1 if layout.beside else len(chosen)))
    masks = [pictures.predicted_masks(row, chosen.values(), row.variant) for row in segmenting]
    for i, (name, number) in enumerate(chosen.items()):
        left, top = layout.place(i)
        entry = store.index.set_index("slice", drop=False).loc[number]
        area_cm2 = entry["tumor_px"] * entry["spacing_mm"] ** 2 / 100
        heading = f"{name}: {pictures.lesion_name(entry, store.classes)}, {area_cm2:.1f} cm²"
        style.write(figure, left, top + 0.03, "ab"[i], fontsize=9, weight="bold")
        style.write(figure, left + 0.13, top + 0.04, heading, fontsize=8)
        _draw_block(figure, (left, top), layout, store, number, segmenting, [of_row[number] for of_row in masks])
    return style.Drawing(figure, _caption(spec, rows, segmenting, list(chosen), pictures.shown_channel(store)))


def _draw_block(
    figure: Figure,
    place: tuple[float, float],
    layout: Layout,
    store: SliceStore,
    number: int,
    rows: Sequence[Row],
    masks: Sequence[NDArray[np.bool_]],
) -> None:
    image, true_mask = store.read(number)
    picture, truth = pictures.windowed(image, store.channels), true_mask != 0
    # From the truth alone: a square around a predicted mask would differ between networks.
    box = pictures.square_around(truth, margin=0.9)
    head = pictures.head_box(picture, box, truth, *masks)
    whole, near = layout.panels(figure, place, 0, "truth", "")
    pictures.show(whole, picture, head)
    pictures.mark(whole, box)
    pictures.show(near, picture, box)
    pictures.outline(near, truth, 1.0, **pictures.TRUTH_LINE)
    pictures.scale_bar(near, box, pictures.spacing_mm(store, number))
    for k, (row, mask) in enumerate(zip(rows, masks, strict=True), start=1):
        dice = float(row.pictured(row.variant)["dice"][number])
        whole, near = layout.panels(figure, place, k, row.label, f"Dice {100 * dice:.1f} %")
        pictures.show(whole, picture, head)
        pictures.outline(whole, mask, 0.7, color=style.color(row.style))
        pictures.show(near, picture, box)
        pictures.outline(near, mask, 1.3, color=style.color(row.style))
        pictures.outline(near, truth, 0.9, **pictures.TRUTH_LINE)


def _caption(
    spec: FigureSpec, rows: Sequence[Row], segmenting: Sequence[Row], chosen: Sequence[str], channel: Sequence[str]
) -> str:
    rules = " and ".join(f"the {PERCENTILES[name]}th percentile of tumor area (a {name.lower()})" for name in chosen)
    sentences = [
        f"{spec.title}. The test slices at {rules}; whole slices above, the lesion enlarged below, each network's "
        "outline under its first seed in its color over the true one, dashed in white.",
        *channel,
    ]
    if filled := [row for row in segmenting if row.variant == "pkp"]:
        sentences.append(sentence(f"Holes filled: {labels(filled)}"))
    if left_out := [row for row in rows if not row.segments]:
        sentences.append(sentence(f"Omitted because they predict no masks: {labels(left_out)}"))
    return " ".join([*sentences, source(rows)])
