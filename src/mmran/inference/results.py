"""The test results of the networks that a package holds."""

from collections.abc import Sequence
from pathlib import Path

from mmran.errors import UserError
from mmran.evaluation.cases import read_cases
from mmran.evaluation.summary import Summary
from mmran.statistics.intervals import Bootstrap, Interval, intervals
from mmran.statistics.rows import Row


def measured_intervals(folder: Path, summary: Summary, seeds: Sequence[int]) -> list[Interval]:
    """Every metric of every variant over these seeds, with its 95 % interval over families if there are enough."""
    found: list[Interval] = []
    bootstrap = None
    cases = read_cases(folder / "cases.csv")
    measured = Summary.of(cases[cases["seed"].isin(seeds)], summary.digests, summary.code, summary.custom)
    for variant, values in measured.variants.items():
        row = Row.read(folder, variant).of_seeds(seeds)
        metrics = [name for name, value in values.items() if value is not None]
        try:
            bootstrap = bootstrap or Bootstrap(row.families)
        except UserError:
            found += [_without_interval(row, metric, values[metric]) for metric in metrics]
        else:
            found += intervals([row], metrics, bootstrap)
    return found


def _without_interval(row: Row, metric: str, estimate: float | None) -> Interval:
    cases = row.seeds[0]
    return Interval(
        **row.origin,
        variant=row.variant,
        metric=metric,
        estimate=estimate,
        method="none",
        n_slices=len(cases),
        n_families=int(cases["family"].nunique()),
        n_seeds=len(row.seeds),
        few_families=True,
        at_chance=row.at_chance(metric),
    )
