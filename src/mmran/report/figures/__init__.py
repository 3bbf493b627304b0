"""The paper's figures, one module per kind: specification and results -> a drawing and its caption.

Figures read only cases.csv, predictions.h5, summary.json, history.csv, and the slice store. A figure with nothing to
draw says so on its canvas.
"""

from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imsave

from mmran.config.figures import FigureSpec
from mmran.data.store import SliceStore
from mmran.errors import UserError
from mmran.files import atomic_path, write_text
from mmran.report.figures import cases, confusion, curves, forest, hole_filling, outlines, reliability, roc, style
from mmran.report.figures.rows import read_rows

PICTURES = {"hole-filling": hole_filling.draw, "outlines": outlines.draw, "cases": cases.draw}
"""Kinds that show slices and need the store."""
CHARTS = {
    "confusion": confusion.draw,
    "roc": roc.draw,
    "curves": curves.draw,
    "forest": forest.draw,
    "reliability": reliability.draw,
}
KINDS = (*PICTURES, *CHARTS)


def make_figure(spec: FigureSpec, results: Path, protocol: str, store_path: Path | None, output: Path) -> list[Path]:
    """Draw a figure and write it as svg, png and pdf, with its caption as txt, next to each other.

    Equal results give equal files: no date, no random ids, none of the user's settings.

    Args:
        spec: what the figure shows.
        results: folder of experiments/ and specs/.
        protocol: the split protocol.
        store_path: the slice store, of kinds that show slices.
        output: its stem is the stem of the four files.

    Returns:
        The four paths.

    Raises:
        UserError: results are absent, damaged, outdated or of different slices, or the kind needs a store.
    """
    rows = read_rows(spec, results, protocol)
    with matplotlib.style.context(["default", style.RC]):
        if spec.kind in CHARTS:
            drawing = CHARTS[spec.kind](spec, rows)
        elif store_path is None:
            raise UserError(f"figure {spec.name}: kind {spec.kind} shows slices; add --store STORE.h5")
        else:
            with SliceStore(store_path) as store:
                drawing = PICTURES[spec.kind](spec, rows, store)
        return write_drawing(drawing, output)


def write_drawing(drawing: style.Drawing, output: Path) -> list[Path]:
    """Write a drawing as svg, png and pdf, with its caption as txt, next to each other; returns the four paths."""
    svg, png, pdf, caption = (output.with_suffix(ending) for ending in (".svg", ".png", ".pdf", ".txt"))
    # None keeps matplotlib from adding the date and its version, so that equal figures are equal files.
    facts: dict[str, Any] = {"Title": output.stem}
    with atomic_path(svg) as temporary:
        undated = {**facts, "Description": drawing.caption, "Date": None, "Creator": None}
        drawing.figure.savefig(temporary, format="svg", dpi=style.DPI, metadata=undated)
    with atomic_path(pdf) as temporary:
        undated = {**facts, "Subject": drawing.caption, "CreationDate": None, "Creator": None, "Producer": None}
        drawing.figure.savefig(temporary, format="pdf", dpi=style.DPI, metadata=undated)
    with atomic_path(png) as temporary:
        _write_png(drawing, temporary, {**facts, "Description": drawing.caption, "Software": None})
    write_text(caption, drawing.caption + "\n")
    return [svg, png, pdf, caption]


def _write_png(drawing: style.Drawing, path: Path, metadata: dict[str, Any]) -> None:
    canvas = FigureCanvasAgg(drawing.figure)
    canvas.draw()
    pixels = np.array(canvas.buffer_rgba())
    # The eye cannot tell a gray of 100 from one of 101, but noise of that size is a third of a slice's file.
    gray = (pixels[..., 0] == pixels[..., 1]) & (pixels[..., 1] == pixels[..., 2])
    pixels[gray] = np.round(pixels[gray] / 3) * 3
    imsave(path, pixels, format="png", dpi=style.DPI, metadata=metadata, pil_kwargs={"optimize": True})
