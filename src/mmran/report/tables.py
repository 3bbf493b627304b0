"""Tables of metrics: a specification and the summaries of its experiments -> our values next to the paper's.

Refuses to combine numbers that were measured on different slices or splits, or under an outdated specification.
"""

import statistics
from collections.abc import Mapping, Sequence

from mmran.config.tables import NEAREST, TableRow, TableSpec
from mmran.errors import UserError, known_names
from mmran.evaluation.summary import Summary, Values
from mmran.metrics.custom import needs_of
from mmran.metrics.names import Metric
from mmran.report.formats import MISSING, Cell, Column, Table
from mmran.report.results import refuse_mixing
from mmran.report.uncertainty import AT_CHANCE, Uncertainty
from mmran.statistics.intervals import Interval

COMPANIONS: Mapping[str, Sequence[str]] = {
    "hd95_mm": ("hd95_median_mm", "hd95_overlapping_mm", "n_missed", "n_no_overlap"),
}
"""Metric -> the metrics printed next to it, because it misleads alone: a few empty masks dominate a mean distance."""
HD95_NOTE = (
    "HD95 counts an empty mask as the diagonal of the image. Missed: masks without a pixel. No overlap: masks that "
    "touch no tumor pixel. Both are numbers of slices."
)
ONE_SEED_NOTE = (
    "One seed shows no spread between trainings: a difference between two rows can be a difference between seeds."
)


def metrics_table(
    spec: TableSpec,
    summaries: Mapping[str, Summary],
    expected_specs: Mapping[str, str],
    uncertainty: Uncertainty | None = None,
    notes: Sequence[str] = (),
) -> Table:
    """A table of metrics.

    Several seeds are printed as their mean and standard deviation. The csv has deviations and intervals in columns,
    and names where each row comes from: seeds, experiment, variant and specification.

    Args:
        spec: what the table shows.
        summaries: experiment -> its summary.
        expected_specs: experiment -> SHA-256 of its specification as it is now.
        uncertainty: intervals, and what is bold; without it, the best printed values are.
        notes: sentences below the table, after those on protocol and metrics.

    Raises:
        UserError: an unknown metric or variant, or summaries that do not belong together.
    """
    chosen = {row.experiment: summaries[row.experiment] for row in spec.rows}
    _check_metrics(spec, chosen)
    refuse_mixing(f"table {spec.name}", chosen, expected_specs)
    how = next(iter(chosen.values())).metric
    by_seed = [_values_by_seed(spec.name, row, chosen[row.experiment]) for row in spec.rows]
    several = any(len(seeds) > 1 for seeds in by_seed)
    columns = [_column("row", "", [Cell(row.label) for row in spec.rows])]
    columns.append(_column("n", "n", [Cell(str(chosen[row.experiment].n)) for row in spec.rows]))
    shown = _with_companions(spec.metrics)
    for name in shown:
        columns.append(_column(name, how(name).title, _metric_cells(name, how(name), by_seed, uncertainty)))
        if several:
            deviations = [_deviation(how(name), [seed[name] for seed in seeds]) for seeds in by_seed]
            columns.append(_hidden(f"{name}_sd", [one or MISSING for one in deviations]))
        if uncertainty and name in uncertainty.intervals[0]:
            bounds = [_bounds(how(name), known[name]) for known in uncertainty.intervals]
            columns.append(_hidden(f"{name}_low", [low for low, _ in bounds]))
            columns.append(_hidden(f"{name}_high", [high for _, high in bounds]))
    for name in spec.metrics:
        paper = [row.paper.get(name) for row in spec.rows]
        printed = _marked([_printed(how(name), [value and value / how(name).scale]) for value in paper], how(name))
        columns.append(_column(f"paper_{name}", "paper", printed))
    columns += [
        *(_trust_columns(uncertainty) if uncertainty else []),
        _hidden("seeds", [" ".join(str(seed.seed) for seed in chosen[row.experiment].seeds) for row in spec.rows]),
        _hidden("experiment", [row.experiment for row in spec.rows]),
        _hidden("variant", [row.variant for row in spec.rows]),
        _hidden("spec", [chosen[row.experiment].digests["spec"][:12] for row in spec.rows]),
    ]
    below = _notes(spec, list(chosen.values()), several)
    below += [uncertainty.note] if uncertainty else []
    below += [HD95_NOTE] if "hd95_mm" in shown else []
    below += notes
    rows = tuple(zip(*(cells for _, cells in columns), strict=True))
    return Table(spec.name, spec.title, tuple(column for column, _ in columns), rows, tuple(below))


def _trust_columns(uncertainty: Uncertainty) -> list[tuple[Column, Sequence[Cell]]]:
    """Number of families, and the tasks in which a row is at chance."""
    tasks = [{needs_of(name) for name, one in known.items() if one.at_chance} for known in uncertainty.intervals]
    return [
        _hidden("n_families", [str(uncertainty.n_families)] * len(tasks)),
        _hidden("at_chance", [" ".join(sorted(found)) or MISSING for found in tasks]),
    ]


def _check_metrics(spec: TableSpec, summaries: Mapping[str, Summary]) -> None:
    """Refuse metrics that some results lack, and results of different custom metrics of one name."""
    if not spec.metrics:
        raise UserError(f"table {spec.name}: names no metric")
    first = next(iter(summaries.values()))
    for name, summary in summaries.items():
        known = next(iter(summary.variants.values()))
        for metric in spec.metrics:
            if metric not in known:
                raise UserError(
                    f"table {spec.name}: {name} was not measured by metric {metric!r}; {known_names(metric, known)}"
                )
            if summary.custom.get(metric) != first.custom.get(metric):
                raise UserError(
                    f"table {spec.name}: {first.experiment} and {name} were measured by different metrics called "
                    f"{metric}; evaluate both with one configuration"
                )


def _column(key: str, title: str, cells: Sequence[Cell]) -> tuple[Column, Sequence[Cell]]:
    return Column(key, title), cells


def _hidden(key: str, texts: Sequence[str]) -> tuple[Column, Sequence[Cell]]:
    return Column(key, key, shown=False), [Cell(text) for text in texts]


def _with_companions(metrics: Sequence[str]) -> list[str]:
    """The metrics in their order, each followed by its companions, without repetition."""
    names: list[str] = []
    for name in metrics:
        names += [name, *(one for one in COMPANIONS.get(name, ()) if one not in metrics)]
    return list(dict.fromkeys(names))


def _values_by_seed(table: str, row: TableRow, summary: Summary) -> list[Values]:
    variants = [seed.variants for seed in summary.seeds]
    if not all(row.variant in known for known in variants):
        known = ", ".join(variants[0])
        raise UserError(f"table {table}: row {row.label!r} shows variant {row.variant}, but its results have {known}")
    return [known[row.variant] for known in variants]


def _metric_cells(
    name: str, metric: Metric, by_seed: Sequence[Sequence[Values]], uncertainty: Uncertainty | None
) -> list[Cell]:
    values = [[seed[name] for seed in seeds] for seeds in by_seed]
    cells = _marked([_printed(metric, seeds) for seeds in values], metric)
    result = []
    for i, cell in enumerate(cells):
        deviation = _deviation(metric, values[i])
        spread = [f"± {deviation}"] if deviation else []
        best = cell.best
        if uncertainty and name in uncertainty.intervals[i]:
            low, high = _bounds(metric, uncertainty.intervals[i][name])
            spread += [f"[{low}, {high}]"] if low != MISSING else []
            spread = [AT_CHANCE, *spread] if uncertainty.intervals[i][name].at_chance else spread
        if uncertainty:
            # A column without tests marks nothing: bold has a single meaning in a table.
            best = cell.text != MISSING and name in uncertainty.not_worse and uncertainty.not_worse[name][i]
        result.append(Cell(cell.text, best, " ".join(spread)))
    return result


def _bounds(metric: Metric, interval: Interval) -> tuple[str, str]:
    """Both ends of an interval as printed."""
    if interval.low is None or interval.high is None:
        return MISSING, MISSING
    # The last decimals of a bound are resampling noise.
    decimals = max(metric.decimals - 1, 1)
    low, high = (f"{value * metric.scale:.{decimals}f}" for value in (interval.low, interval.high))
    return low, high


def _printed(metric: Metric, by_seed: Sequence[float | None]) -> str:
    """The mean over the seeds as printed; a count of several seeds gets a decimal."""
    values = [value for value in by_seed if value is not None]
    if not values or len(values) < len(by_seed):
        return MISSING
    return metric.text(statistics.fmean(values), len(values))


def _deviation(metric: Metric, by_seed: Sequence[float | None]) -> str:
    """The standard deviation over the seeds as printed; empty for a single seed or an undefined value."""
    values = [value for value in by_seed if value is not None]
    if len(values) < 2 or len(values) < len(by_seed):
        return ""
    return metric.text(statistics.stdev(values), len(values))


def _marked(texts: Sequence[str], metric: Metric) -> list[Cell]:
    """Mark the best printed value of a column, and each that equals it; a single value is not marked."""
    numbers = [float(text) for text in texts if text != MISSING]
    best = (min if metric.lower_is_better else max)(numbers) if len(numbers) > 1 else None
    return [Cell(text, best=text != MISSING and float(text) == best) for text in texts]


def _notes(spec: TableSpec, summaries: Sequence[Summary], several: bool) -> list[str]:
    first = summaries[0]
    notes = [spec.note] if spec.note else []
    notes.append(
        f"Protocol {first.protocol}; n: test slices; data {first.digests['data'][:12]}, "
        f"split {first.digests['split'][:12]}."
    )
    numbers = sorted({len(summary.seeds) for summary in summaries if summary.experiment != NEAREST})
    if several:
        counted = " or ".join(str(number) for number in numbers)
        notes.append(f"Mean ± standard deviation over the seeds; a row has {counted}.")
    if 1 in numbers:
        notes.append(ONE_SEED_NOTE)
    if first.absent_classes:
        absent = " and ".join(first.absent_classes)
        notes.append(f"No test slice of class {absent}: metrics that need every class are not defined.")
    return notes
