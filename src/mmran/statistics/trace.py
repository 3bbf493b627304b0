"""From a cell of a table back to the slices, the weights and the data behind it."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmran.config.tables import NEAREST
from mmran.errors import UserError, known_names
from mmran.evaluation.summary import Summary
from mmran.statistics.estimators import MEANS, slice_values
from mmran.statistics.rows import Row
from mmran.training.record import RunRecord, read_runs

EXTREMES = 3
"""How many of the lowest and highest slices are named."""


@dataclass(frozen=True)
class Trace:
    """What a cell is computed from.

    Attributes:
        printed: the cell.
        metric: its column.
        row: the experiment behind it, with its cases.
        summary: the summary of its cases.
        runs: the trainings that predicted them; empty for the copied slices, which need none.
        folder: where its results are.
    """

    printed: str
    metric: str
    row: Row
    summary: Summary
    runs: tuple[RunRecord, ...]
    folder: Path

    def lines(self) -> list[str]:
        """The trace as text, one fact per line."""
        metric, digests = self.summary.metric(self.metric), self.summary.digests
        seeds = ", ".join(str(seed.seed) for seed in self.summary.seeds)
        found = [
            f"{metric.title} of {self.row.label}: {self.printed}",
            f"  from     {self.folder / 'cases.csv'} (sha256 {digests['cases'][:12]}), variant {self.row.variant}",
            f"  over     {self.summary.n} test slices, seeds {seeds}",
        ]
        if self.metric in MEANS or self.metric in self.summary.custom:
            found += self._extremes()
        found.append(f"  measured by {len(self.summary.code)} modules, of predictions {digests['predictions'][:12]}")
        found += [
            f"  weights  {self.folder}/trials/{run.trial}/weights.safetensors (sha256 {run.weights_sha256[:12]}), "
            f"best epoch {run.best_epoch} of {run.epochs}, {run.device_name}"
            for run in self.runs
        ]
        if not self.runs:
            found.append("  weights  none: class and mask of the nearest training slice are copied")
        found.append(f"  data     {digests['data'][:12]}, split {digests['split'][:12]}, spec {digests['spec'][:12]}")
        return found

    def _extremes(self) -> list[str]:
        """The slices with the lowest and the highest values, under the first seed."""
        cases, scale = self.row.seeds[0], self.summary.metric(self.metric).scale
        values = slice_values(self.metric, cases) * scale
        order = np.argsort(values, kind="stable")[: np.count_nonzero(~np.isnan(values))]  # NaN is last
        parts = {"lowest": order[:EXTREMES], "highest": order[::-1][:EXTREMES]}
        return [
            f"  {name:8} " + ", ".join(f"slice {cases['slice'].iloc[i]} {values[i]:.2f}" for i in chosen.tolist())
            for name, chosen in parts.items()
        ]


def trace(table: Path, label: str, metric: str) -> Trace:
    """Follow a cell of a table of metrics.

    Args:
        table: RESULTS/tables/PROTOCOL/NAME.csv.
        label: of the row.
        metric: name of the column.

    Raises:
        UserError: there is no such table, row or column, or the cell is not what the cases give now.
    """
    cells = _cells(table, label)
    results, protocol = table.parents[2], table.parent.name
    folder = results / "experiments" / cells["experiment"] / protocol
    row = Row.read(folder, cells["variant"], label)
    summary = Summary.read(folder / "summary.json")
    values = summary.variants[row.variant]
    shown = [name for name in cells if name in values]
    if metric not in shown:
        raise UserError(f"{table}: no column {metric!r} of ours; {known_names(metric, shown)}")
    value = values[metric]
    now = "-" if value is None else summary.metric(metric).text(value, len(summary.seeds))
    printed, *_ = cells[metric].split()  # of several seeds, the mean comes before its deviation
    if now != printed:
        raise UserError(f"{table}: {metric} of {label} is {printed}, but its cases give {now}; run snakemake again")
    if not cells["spec"] or not summary.digests["spec"].startswith(cells["spec"]):
        raise UserError(f"{table}: {label} was made from another specification than {folder}; run snakemake again")
    runs = () if cells["experiment"] == NEAREST else tuple(read_runs(folder / "runs.json"))
    return Trace(cells[metric], metric, row, summary, runs, folder)


def _cells(table: Path, label: str) -> dict[str, str]:
    """The cells of a row, by column."""
    if not table.is_file():
        raise UserError(f"{table}: no such table; expected RESULTS/tables/PROTOCOL/NAME.csv")
    with table.open(encoding="utf-8", newline="") as file:
        rows = {cells.get("row") or "": cells for cells in csv.DictReader(file)}
    if label not in rows:
        raise UserError(f"{table}: no row {label!r}; {known_names(label, rows)}")
    cells = rows[label]
    if not {"experiment", "variant", "spec"} <= set(cells):
        raise UserError(f"{table}: does not say where its rows come from; run snakemake again")
    return cells
