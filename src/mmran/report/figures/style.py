"""How every figure looks: sizes, type, one colour and line per network, and a plain word where nothing can be drawn."""

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

from mmran.data.cheng import CLASS_NAMES

WIDTH_INCHES = 7.16
"""Both columns of the journal."""
DPI = 300
CLASS_TITLES = tuple("pituitary tumor" if name == "pituitary" else name for name in CLASS_NAMES)

RC: dict[str, Any] = {
    # The one typeface that comes with matplotlib itself; drawn as paths, a figure looks alike on every machine.
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "svg.fonttype": "path",
    # Without it the ids in an SVG are drawn by lot, and equal figures are unequal files.
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

# At least 26 CIELAB units apart for normal, deuteranopic and protanopic eyes (Machado et al. 2009), and between
# the white of paper and the black around a head. In grey the dashes tell them apart.
COLORS = (
    *("#40CAB1", "#CAA4F7", "#332288", "#882255", "#1274E1"),
    *("#C9A04E", "#AC5947", "#0F829F", "#D55E00"),
)
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
ACCENT = "#D55E00"
"""Of what a figure wants seen and no network owns: the filled holes."""


@dataclass(frozen=True)
class Drawing:
    """A figure and the words below it."""

    figure: Figure
    caption: str


def color(order: int) -> str:
    """Colour of the network whose place in the order of rows is `order`."""
    return COLORS[order % len(COLORS)]


def line(order: int) -> dict[str, Any]:
    """Colour, dashes and width of a network's line; all three return together after 63 networks."""
    dashes, width = _LINES[order % len(_LINES)]
    return {"color": color(order), "linestyle": dashes, "linewidth": width}


def new_figure(height_inches: float) -> Figure:
    """An empty figure as wide as the page."""
    return Figure(figsize=(WIDTH_INCHES, height_inches), dpi=DPI, facecolor="white")


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches from the left and upper edges of the figure."""
    total_width, total_height = figure.get_size_inches()
    bottom = total_height - top - height
    return figure.add_axes((left / total_width, bottom / total_height, width / total_width, height / total_height))


def write(figure: Figure, left: float, top: float, text: str, **options: Any) -> None:
    """Text whose upper left corner is at a place in inches from the left and upper edges of the figure."""
    total_width, total_height = figure.get_size_inches()
    options = {"va": "top", **options}
    figure.text(left / total_width, 1 - top / total_height, text, **options)


def fitting_size(texts: Iterable[str], size_pt: float, width_inches: float) -> float:
    """The type size, at most `size_pt`, at which none of some lines is wider than `width_inches`."""
    widths_pt = [TextPath((0, 0), text, size=size_pt).get_extents().width for text in texts if text.strip()]
    return size_pt * min(1.0, width_inches * 72 / max(widths_pt, default=1.0))


def message(title: str, sentence: str) -> Drawing:
    """A figure that says why there is nothing to draw: a file that opens, and a sentence."""
    figure = new_figure(1.0)
    figure.text(0.5, 0.5, textwrap.fill(sentence, 90), ha="center", va="center", fontsize=9, color="0.25")
    return Drawing(figure, f"{title}. {sentence}")
