"""The paper's tables: a specification and the summaries of its experiments -> our values beside the paper's.

Refuses to put numbers side by side that were not measured on the same slices and the same split, that were
measured under another specification than the present one, or whose cases.csv is not the one they were summed
from.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mmran.config.tables import TableRow, TableSpec
from mmran.errors import UserError
from mmran.evaluation.summary import Summary
from mmran.metrics.names import METRICS
from mmran.report.formats import MISSING, Cell, Column, Table
from mmran.report.results import refuse_mixing

MEASURED = ("train_images_per_s", "train_peak_mb", "predict_images_per_s", "predict_peak_mb")
MEMORY_NOTE = "Memory is that of tensors on a GPU, and on a CPU that of the whole process."
MISSED_NOTE = "HD95 counts a missed tumor as the diagonal of the image; the next column counts the missed."


def metrics_table(spec: TableSpec, summaries: Mapping[str, Summary], expected_specs: Mapping[str, str]) -> Table:
    """A table of metrics.

    Args:
        spec: what the table shows.
        summaries: experiment -> its summary.
        expected_specs: experiment -> SHA-256 of its specification as it is now.

    Raises:
        UserError: an unknown metric or variant, or summaries that must not stand side by side.
    """
    metrics = spec.metrics
    unknown = [name for name in metrics if name not in METRICS]
    if unknown or not metrics:
        named = unknown[0] if unknown else "none"
        raise UserError(f"table {spec.name}: unknown metric {named}, expected some of {', '.join(METRICS)}")
    rows = spec.rows
    chosen = {row.experiment: summaries[row.experiment] for row in rows}
    refuse_mixing(f"table {spec.name}", chosen, expected_specs)
    variants = [_variant(spec.name, row, chosen[row.experiment]) for row in rows]
    ours: dict[str, list[Cell]] = {}
    for name in metrics:
        ours[name] = _metric_cells(name, [_scaled(name, variant.get(name)) for variant in variants])
        if name == "hd95_mm" and "n_missed" not in metrics:
            ours["n_missed"] = [_number(variant.get("n_missed"), "g") for variant in variants]
    paper = {f"paper_{name}": _metric_cells(name, [row.paper.get(name) for row in rows]) for name in metrics}
    columns = {
        "row": [Cell(row.label) for row in rows],
        "n": [Cell(str(chosen[row.experiment].n)) for row in rows],
        **ours,
        **paper,
    }
    return _table(spec, columns, [*_notes(spec, chosen), *([MISSED_NOTE] if "n_missed" in ours else [])])


def parameters_table(
    spec: TableSpec,
    networks: Sequence[Mapping[str, Any]],
    measured: Mapping[str, Mapping[str, Any]] | None = None,
) -> Table:
    """A table of the networks' sizes, in millions of trainable parameters, and of what they cost where they ran.

    Args:
        spec: what the table shows; the paper's values are `params_m`.
        networks: what `mmran networks --json` writes: name, parameters, and where known
            parameters_full_width, multiply_accumulates, width and size.
        measured: experiment -> `read_costs` of it; None leaves the measured columns out.

    Raises:
        UserError: a row's experiment is not among the networks.
    """
    by_name = {network["name"]: network for network in networks}
    for row in spec.rows:
        if row.experiment not in by_name:
            known = ", ".join(by_name) or "none"
            raise UserError(f"table {spec.name}: no network of {row.experiment} in the list: {known}")
    chosen = [by_name[row.experiment] for row in spec.rows]
    cells = [_parameter_cells(row, network) for row, network in zip(spec.rows, chosen, strict=True)]
    notes = _notes(spec, {})
    costs = dict.fromkeys(
        f"width {network['width']:g} at {network['size']} x {network['size']} pixels"
        for network in chosen
        if "size" in network and "width" in network
    )
    if costs:
        notes.append(f"Parameters at full width; multiply-accumulates of {', '.join(costs)}.")
    if measured:
        for row_cells, row in zip(cells, spec.rows, strict=True):
            found = measured[row.experiment]
            row_cells |= {key: _number(found[key], ".1f" if "per_s" in key else ".0f") for key in MEASURED}
        machines = "; ".join(dict.fromkeys(found["machine"] for found in measured.values()))
        notes.append(
            f"Speed and peak memory as trained and predicted, at that width and size, on {machines}. {MEMORY_NOTE}"
        )
    return _table(spec, {key: [row[key] for row in cells] for key in cells[0]}, notes)


def _parameter_cells(row: TableRow, network: Mapping[str, Any]) -> dict[str, Cell]:
    # The paper's counts are of whole networks: a narrowed one is compared at full width.
    millions = network.get("parameters_full_width", network["parameters"]) / 1e6
    paper = row.paper.get("params_m")
    macs = network.get("multiply_accumulates")
    return {
        "row": Cell(row.label),
        "params_m": _number(millions, ".2f"),
        "paper_params_m": _number(paper, ".2f"),
        "difference_percent": _number(paper and 100 * (millions - paper) / paper, "+.2f"),
        "gmacs": _number(macs and macs / 1e9, ".2f" if macs and macs >= 1e9 else ".2g"),
    }


def _variant(table: str, row: TableRow, summary: Summary) -> Mapping[str, float | None]:
    variant = row.variant
    if variant not in summary.variants:
        known = ", ".join(summary.variants)
        raise UserError(f"table {table}: row {row.label!r} wants variant {variant}, expected {known}")
    return summary.variants[variant]


def _scaled(metric: str, value: float | None) -> float | None:
    return None if value is None else value * METRICS[metric].scale


def _metric_cells(metric: str, values: Sequence[float | None]) -> list[Cell]:
    """Print a column of one metric; the best value, as printed, is marked, each of several equal ones."""
    printed = [None if value is None else f"{value:.{METRICS[metric].decimals}f}" for value in values]
    numbers = [float(text) for text in printed if text is not None]
    best = None
    if len(numbers) > 1:
        best = min(numbers) if METRICS[metric].lower_is_better else max(numbers)
    return [Cell(MISSING) if text is None else Cell(text, best=float(text) == best) for text in printed]


def _number(value: float | None, form: str) -> Cell:
    return Cell(MISSING if value is None else format(value, form))


def _notes(spec: TableSpec, summaries: Mapping[str, Summary]) -> list[str]:
    notes = [spec.note] if spec.note else []
    for summary in list(summaries.values())[:1]:
        digests = summary.digests
        notes.append(
            f"Protocol {summary.protocol}; n: test slices; data {digests['data'][:12]}, split {digests['split'][:12]}."
        )
        if summary.absent_classes:
            absent = " and ".join(summary.absent_classes)
            notes.append(f"No test slice of class {absent}: metrics that need every class are not defined.")
    return notes


TITLES = {
    "row": "",
    "n": "n",
    "n_missed": "missed",
    "params_m": "Parameters (million)",
    "difference_percent": "difference (%)",
    "gmacs": "GMAC",
    "train_images_per_s": "training (images/s)",
    "train_peak_mb": "training (MiB)",
    "predict_images_per_s": "prediction (images/s)",
    "predict_peak_mb": "prediction (MiB)",
    **{name: metric.title for name, metric in METRICS.items()},
}


def _table(spec: TableSpec, columns: Mapping[str, Sequence[Cell]], notes: Sequence[str]) -> Table:
    titled = tuple(Column(key, TITLES.get(key, "paper")) for key in columns)
    rows = tuple(zip(*columns.values(), strict=True))
    return Table(spec.name, spec.title, titled, rows, tuple(notes))
