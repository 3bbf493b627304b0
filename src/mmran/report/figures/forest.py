"""Figure of kind forest: how much each network differs from a reference, with intervals over patient families."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from mmran.config.figures import FigureSpec
from mmran.errors import UserError, known_names
from mmran.metrics.custom import CustomMetrics, describe, needs_of
from mmran.metrics.names import Metric, metric_names
from mmran.report.figures import style
from mmran.report.figures.rows import Row, labels, sentence, source
from mmran.report.notes import join
from mmran.statistics.comparisons import LEVEL, Comparison, compare_all
from mmran.statistics.intervals import Bootstrap
from mmran.statistics.rows import shared_custom

PANELS = ("dice", "acc")
"""Metrics of the panels, unless the figure names others."""
_HEADINGS = {"dice": "Dice", "acc": "accuracy"}
"""Metric -> heading of its panel, where it is not its title."""
_LEFT_INCHES, _HEAD_INCHES, _GAP_INCHES, _FOOT_INCHES, _LINE_INCHES = 1.5, 0.3, 0.25, 0.42, 0.22


def differences(rows: Sequence[Row], reference: Row, metric: str) -> list[Comparison]:
    """Compare each row that has the metric with the reference, one of them; empty if the reference lacks it.

    Raises:
        UserError: all test slices are of one family or one class, or rows tested different slices.
    """
    needed = [row for row in rows if (row.segments if needs_of(metric) == "masks" else row.classifies)]
    place = next((i for i, row in enumerate(needed) if row is reference), None)
    if place is None or len(needed) < 2:
        return []
    tested = [row.tested() for row in needed]
    return compare_all(tested, tested[place], [metric], Bootstrap(tested[place].families))


def draw(spec: FigureSpec, rows: Sequence[Row]) -> style.Drawing:
    """One panel per metric, one line per network."""
    reference = next(row for row in reversed(rows) if spec.against in ("", row.label))
    try:
        custom = _checked(spec, rows)
        found = {metric: differences(rows, reference, metric) for metric in spec.metrics or PANELS}
    except UserError as error:
        return style.message(spec.title, f"No differences: {error}.")
    if not any(found.values()):
        return style.message(spec.title, f"No network of this figure shares a task with {reference.label}.")
    others = [row for row in rows if row is not reference]
    height = len(others) * _LINE_INCHES
    figure = style.new_figure(_HEAD_INCHES + height + _FOOT_INCHES)
    width = (style.WIDTH_INCHES - _LEFT_INCHES - 0.12 + _GAP_INCHES) / len(found) - _GAP_INCHES
    for i, (name, compared) in enumerate(found.items()):
        axes = style.place(figure, _LEFT_INCHES + i * (width + _GAP_INCHES), _HEAD_INCHES, width, height)
        metric = describe(name, custom)
        heading, _, unit = metric.title.removesuffix(")").partition(" (")
        axes.set_title(_HEADINGS.get(name, heading), fontsize=8, pad=4)
        _draw_panel(axes, others, compared, metric, first=i == 0)
        unit = "points" if metric.is_fraction else unit
        axes.set_xlabel(f"difference to {reference.label}" + (f" ({unit})" if unit else ""))
    return style.Drawing(figure, _caption(spec, rows, reference, [one for panel in found.values() for one in panel]))


def _checked(spec: FigureSpec, rows: Sequence[Row]) -> CustomMetrics:
    """The custom metrics of all rows, if the figure names no other.

    Raises:
        UserError: a row was not measured by a metric of the figure.
    """
    custom = shared_custom([row.tested() for row in rows])
    known = (*metric_names(rows[0].classes), *custom)
    if unknown := [name for name in spec.metrics if name not in known]:
        raise UserError(f"not every row was measured by metric {unknown[0]!r}; {known_names(unknown[0], known)}")
    return custom


def _draw_panel(axes: Axes, rows: Sequence[Row], found: Sequence[Comparison], metric: Metric, first: bool) -> None:
    # Two rows may show one experiment with different masks.
    places = {(row.experiment, row.variant, row.label): i for i, row in enumerate(rows)}
    axes.axvline(0, color="0.6", linewidth=0.6)
    for one in found:
        i = places[(one.experiment, one.variant, one.row)]
        if one.difference is None:
            continue
        color = style.color(rows[i].style)
        if one.low is not None and one.high is not None:
            axes.plot(
                [metric.scale * one.low, metric.scale * one.high],
                [i, i],
                color=color,
                linewidth=1.6,
                solid_capstyle="butt",
            )
        face = color if one.p_holm is not None and one.p_holm < LEVEL else "white"
        axes.plot(metric.scale * one.difference, i, "o", markersize=4.5, markerfacecolor=face, color=color)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    size = style.fitting_size([row.label for row in rows], 7, _LEFT_INCHES - 0.12)
    axes.set_yticks(range(len(rows)), [row.label for row in rows] if first else [], fontsize=size)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.margins(x=0.08)


def _caption(spec: FigureSpec, rows: Sequence[Row], reference: Row, found: Sequence[Comparison]) -> str:
    first = found[0]
    sentences = [
        f"{spec.title}. Each network minus {reference.label} on the same test slices, with 95 % intervals over "
        f"{first.n_families} patient families{' (few: they are too narrow)' if first.few_families else ''}. Full "
        "circles: different after Holm's correction within the panel; open ones: not shown to be.",
    ]
    if untested := dict.fromkeys(one.row for one in found if one.test == "at chance"):
        sentences.append(sentence(f"Without a test, since one of the two is at chance: {join(list(untested))}"))
    if any(one.certifies != "methods" for one in found):
        sentences.append("With fewer than three seeds, a test applies to these trained weights, not to the networks.")
    for name, lacking in (
        ("masks", [row for row in rows if not row.segments]),
        ("classes", [row for row in rows if not row.classifies]),
    ):
        if lacking:
            sentences.append(sentence(f"Without {name}: {labels(lacking)}"))
    return " ".join([*sentences, source(rows)])
