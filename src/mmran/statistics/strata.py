"""strata.csv: how well a network does by tumor size and class; worst.csv: which slices to look at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmran.data.subgroups import Subgroups
from mmran.evaluation.predictions import classes_of
from mmran.statistics.estimators import Ratio, slice_values
from mmran.statistics.intervals import Bootstrap, Estimate, percentile_interval
from mmran.statistics.rows import Row

METRICS_BY_TASK = {"missed": ("dice", "n_missed", "n_no_overlap"), "predicted": ("acc",)}
"""Column that is empty without the task -> the metrics shown by stratum, counts as shares of the stratum."""
SIZES = {1: "small", 2: "medium", 3: "large"}
MR_PREFIX = "MR"
ALL = ("all",)
"""Stands for the only class where the data have none."""


@dataclass(frozen=True)
class Stratum:
    """One metric over a part of the test slices; counts are shares of that part.

    `low` and `high` are a bootstrap interval over families, None where a resample has no slice of the stratum.
    """

    row: str
    experiment: str
    variant: str
    protocol: str
    stratum: str
    metric: str
    estimate: float
    low: float | None
    high: float | None
    n_slices: int
    n_families: int
    n_seeds: int
    cases: str


@dataclass(frozen=True)
class Example:
    """A slice that a figure shows: the worst, median or best Dice of its class, under the first seed."""

    row: str
    experiment: str
    variant: str
    protocol: str
    tumor_class: str
    place: str
    slice: int
    dice: float
    predicted: int | None
    cases: str


def strata_of(cases: pd.DataFrame, subgroups: Subgroups | None = None) -> dict[str, "pd.Series[bool]"]:
    """Name the strata of cases, each with a mask: sizes, classes, gliomas by the origin of their patient number, and
    subgroups.

    Patient numbers that begin with MR are all gliomas and come from another source than the rest, so a network may
    recognize the source.
    """
    classes = classes_of(cases)
    has_sizes = (cases["tumor_mm2"] > 0).any()
    found = {f"size: {name}": cases["size_tertile"] == tertile for tertile, name in SIZES.items() if has_sizes}
    found |= {f"class: {name}": cases["label"] == i + 1 for i, name in enumerate(classes)}
    if "glioma" in classes:
        is_glioma, is_mr = cases["label"] == classes.index("glioma") + 1, cases["pid"].str.startswith(MR_PREFIX)
        found |= {"glioma: MR patients": is_glioma & is_mr, "glioma: other patients": is_glioma & ~is_mr}
    if subgroups:
        found |= subgroups.strata(cases)
    return {name: chosen for name, chosen in found.items() if chosen.any()}


def by_stratum(rows: Sequence[Row], bootstrap: Bootstrap, subgroups: Subgroups | None = None) -> list[Stratum]:
    """Measure every row on every stratum."""
    return [
        _measured(row, stratum, chosen.to_numpy(), metric, bootstrap)
        for row in rows
        for stratum, chosen in strata_of(row.seeds[0], subgroups).items()
        for task, metrics in METRICS_BY_TASK.items()
        if row.cases[task].notna().all()
        for metric in metrics
    ]


def _measured(row: Row, stratum: str, chosen: NDArray[np.bool_], metric: str, bootstrap: Bootstrap) -> Stratum:
    families = bootstrap.families
    codes = families.codes(row.seeds[0])
    estimators = [
        Ratio.of(slice_values(metric, cases) * chosen, chosen.astype(np.float64), codes, len(families))
        for cases in row.seeds
    ]
    estimate = Estimate.of(estimators, bootstrap.weights)
    bounds = percentile_interval(estimate.resampled)
    return Stratum(
        **row.origin,
        variant=row.variant,
        stratum=stratum,
        metric=metric,
        estimate=estimate.value,
        low=None if bounds is None else bounds[0],
        high=None if bounds is None else bounds[1],
        n_slices=int(chosen.sum()),
        n_families=int(np.unique(codes[chosen]).size),
        n_seeds=len(row.seeds),
    )


def examples(rows: Sequence[Row]) -> list[Example]:
    """Choose the worst, the median and the best slice of each class for every row that segments."""
    found = []
    for row in rows:
        cases = row.seeds[0]
        if cases["missed"].isna().any():
            continue
        for i, name in enumerate(row.classes or ALL):
            of_class = cases[cases["label"] == i + 1].sort_values(["dice", "slice"])
            if of_class.empty:
                continue
            for place, position in (("worst", 0), ("median", (len(of_class) - 1) // 2), ("best", -1)):
                case = of_class.iloc[position]
                predicted = None if pd.isna(case["predicted"]) else int(case["predicted"])
                found.append(
                    Example(
                        **row.origin,
                        variant=row.variant,
                        tumor_class=name,
                        place=place,
                        slice=int(case["slice"]),
                        dice=float(case["dice"]),
                        predicted=predicted,
                    )
                )
    return found
