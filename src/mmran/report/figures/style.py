"""How every figure looks: page size, type, one color and line per network, and a message instead of a drawing."""

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

WIDTH_INCHES = 7.16
"""Width of a page in inches, both columns of the journal."""
DPI = 300

RC: dict[str, Any] = {
    # DejaVu Sans comes with matplotlib, so text has the same layout on every machine; viewers without it fall back.
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 7,
    # Users write the labels: a dollar sign must not start a formula that fails after all training.
    "text.parse_math": False,
    # Text stays text, so that readers can search, copy and edit it.
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    # Without a fixed salt the ids in an SVG are random, and equal figures give different files.
    "svg.hashsalt": "mmran",
    "axes.linewidth": 0.6,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.dash_capstyle": "butt",
}

COLORS = (
    *("#38C1A6", "#C4A2F5", "#332389", "#80184D", "#6D6ADD"),
    *("#84D884", "#6C180C", "#177F99", "#D15900"),
)
"""One color per network, at least 26 CIELAB units from each other, from white paper and from the black around a head.

The last, which the paper's figures give to MMRAN, is 36 from every other. The distances hold for normal, protanopic and
deuteranopic vision (Machado et al. 2009). In grayscale the dashes tell the networks apart.
"""
# Dashes and width in points.
_LINES: tuple[tuple[Any, float], ...] = (
    ((0, (7, 1.6)), 1.1),
    ("-", 1.4),
    ("-", 0.7),
    ((0, (1, 1)), 1.3),
    ((0, (5, 1.2, 1.2, 1.2)), 1.1),
    ((0, (2.6, 1.2)), 1.1),
    ((0, (8, 1.4, 1.2, 1.4, 1.2, 1.4)), 1.1),
)
ACCENT = "#D15900"
"""Accent color in figures without network colors: filled holes, the training that needs no search."""

FIGURE_SPACE = "\u2007"
"""As wide as a digit."""


@dataclass(frozen=True)
class Drawing:
    """A figure and its caption."""

    figure: Figure
    caption: str


def color(order: int) -> str:
    """Color of the network at place `order` in the rows."""
    return COLORS[order % len(COLORS)]


def line(order: int) -> dict[str, Any]:
    """Color, dashes and width of a network's line; the combination repeats after 63 networks."""
    dashes, width = _LINES[order % len(_LINES)]
    return {"color": color(order), "linestyle": dashes, "linewidth": width}


def new_figure(height_inches: float) -> Figure:
    """Create an empty figure as wide as the page."""
    return Figure(figsize=(WIDTH_INCHES, height_inches), dpi=DPI, facecolor="white")


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add axes at a position in inches from the left and upper edges of the figure."""
    total_width, total_height = figure.get_size_inches()
    bottom = total_height - top - height
    return figure.add_axes((left / total_width, bottom / total_height, width / total_width, height / total_height))


def write(figure: Figure, left: float, top: float, text: str, **options: Any) -> None:
    """Write text with its upper left corner at a position in inches from the left and upper edges of the figure."""
    total_width, total_height = figure.get_size_inches()
    options = {"va": "top", **options}
    figure.text(left / total_width, 1 - top / total_height, text, **options)


def fitting_size(texts: Iterable[str], size_pt: float, width_inches: float) -> float:
    """The largest type size in points, at most `size_pt`, at which each line fits into `width_inches`."""
    font = FontProperties(family=RC["font.sans-serif"][0], size=size_pt)
    widths_pt = [text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] for text in texts]
    return size_pt * min(1.0, width_inches * 72 / max([*widths_pt, 1e-9]))


def message(title: str, sentence: str) -> Drawing:
    """A figure that explains why there is nothing to draw."""
    figure = new_figure(1.0)
    figure.text(0.5, 0.5, textwrap.fill(sentence, 90), ha="center", va="center", fontsize=9, color="0.25")
    return Drawing(figure, f"{title}. {sentence}")
