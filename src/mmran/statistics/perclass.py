"""perclass.csv: sensitivity, specificity and precision of each class, with intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmran.statistics.estimators import (
    Confusion,
    confusion_by_family,
    precisions,
    sensitivities,
    specificities,
)
from mmran.statistics.intervals import Bootstrap, Estimate, percentile_interval
from mmran.statistics.rows import Row

READERS = {"sensitivity": sensitivities, "specificity": specificities, "precision": precisions}


@dataclass(frozen=True)
class PerClass:
    """One measure of one class; `low` and `high` are a bootstrap interval over families, None if not defined."""

    row: str
    experiment: str
    protocol: str
    tumor_class: str
    measure: str
    estimate: float | None
    low: float | None
    high: float | None
    n_slices: int
    n_families: int
    n_seeds: int
    cases: str


def per_class(rows: Sequence[Row], bootstrap: Bootstrap) -> list[PerClass]:
    """Measure every class of every row that classifies."""
    families = bootstrap.families
    found = []
    for row in rows:
        if row.cases["predicted"].isna().any():
            continue
        counts = [confusion_by_family(cases, families.codes(cases), len(families)) for cases in row.seeds]
        labels = row.seeds[0]["label"]
        for i, name in enumerate(row.classes):
            for measure, read in READERS.items():
                estimators = [Confusion(one, _of_class(read, i)) for one in counts]
                estimate = Estimate.of(estimators, bootstrap.weights)
                bounds = percentile_interval(estimate.resampled)
                found.append(
                    PerClass(
                        **row.origin,
                        tumor_class=name,
                        measure=measure,
                        estimate=None if np.isnan(estimate.value) else estimate.value,
                        low=None if bounds is None else bounds[0],
                        high=None if bounds is None else bounds[1],
                        n_slices=int((labels == i + 1).sum()),
                        n_families=int(np.count_nonzero(families.strata == i)),
                        n_seeds=len(row.seeds),
                    )
                )
    return found


def _of_class(
    read: Callable[[NDArray[np.float64]], NDArray[np.float64]], i: int
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    return lambda confusion: read(confusion)[:, i]
