"""Paired differences between rows, with intervals and tests over patient families.

Tests on slices are wrong here: Wilcoxon's or McNemar's test treats the slices of one patient as independent, and calls
equal networks different in up to 61 % of comparisons at a level of 5 %.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mmran.statistics.estimators import Ratio, slice_values
from mmran.statistics.intervals import SEED, Bootstrap, Estimate, family_df, percentile_interval, t_interval, t_test
from mmran.statistics.rows import Families, Row, on_shared_slices

EXACT_FAMILIES = 16
"""Up to this number of families, all 2^F patterns of signs are counted."""
SIGN_FLIPS = 9_999
METHOD_SEEDS = 3
"""With fewer seeds a test certifies two sets of weights, not two methods."""
LEVEL = 0.05
SMALLEST_P = 1e-4
"""Smaller values are printed as below it."""


def p_text(p: float) -> str:
    """A p value as printed: four decimals, and never zero."""
    return f"{p:.4f}" if p >= SMALLEST_P else f"<{SMALLEST_P:.4f}"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A row against another on the slices that both tested.

    Attributes:
        row, against: labels; `difference` is row minus against.
        experiment, variant, against_experiment, against_variant, protocol, metric: which.
        estimate, against_estimate, difference: None where the metric is not defined.
        low, high: 95 % interval of the difference.
        p: two-sided.
        p_holm: p after Holm's correction over the rows compared by this metric.
        test: "sign-flip exact", "sign-flip", or "t" over families and seeds; "at chance" where a row has learned
            nothing about the task (`Row.chance`), and a test would only show that the other was trained.
        certifies: "methods" with three seeds or more on both sides, else "weights"; copied slices need no seeds.
        n_slices, n_families, n_seeds, against_n_seeds: how many.
        few_families: whether there are too few families for the interval to hold its level.
        cases, against_cases: SHA-256 of the two cases.csv files.
    """

    row: str
    against: str
    experiment: str
    variant: str
    against_experiment: str
    against_variant: str
    protocol: str
    metric: str
    estimate: float | None = None
    against_estimate: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    test: str
    certifies: str
    n_slices: int
    n_families: int
    n_seeds: int
    against_n_seeds: int
    few_families: bool
    cases: str
    against_cases: str

    def row_is_better(self, lower_is_better: bool) -> bool | None:
        """Whether the difference favors the row, for a metric of this direction; None where undefined or zero."""
        return (self.difference < 0) == lower_is_better if self.difference else None


def compare(row: Row, against: Row, metric: str, bootstrap: Bootstrap | None = None) -> Comparison:
    """Compare two rows by one metric.

    Args:
        row: the first row; slices that only one of the two tested are left out.
        against: the second row.
        metric: a name that `mmran.metrics.find_metric` knows, or of a custom metric of both rows.
        bootstrap: of the shared slices' families; made here if None.

    Raises:
        UserError: the rows share no slice or disagree on one, or all shared slices are of one family or class.
    """
    a, b = on_shared_slices(row, against)
    families = a.families
    if bootstrap is None or bootstrap.families.names != families.names:
        bootstrap = Bootstrap(families)
    first, second = (bootstrap.estimate(one, metric) for one in (a, b))
    untested = a.at_chance(metric) or b.at_chance(metric)
    result = Comparison(
        row=a.label,
        against=b.label,
        experiment=a.experiment,
        variant=a.variant,
        against_experiment=b.experiment,
        against_variant=b.variant,
        protocol=a.protocol,
        metric=metric,
        test="at chance" if untested else _test_of(_fewest_seeds(a, b), families),
        certifies="methods" if _fewest_seeds(a, b) >= METHOD_SEEDS else "weights",
        n_slices=len(a.seeds[0]),
        n_families=len(families),
        n_seeds=len(a.seeds),
        against_n_seeds=len(b.seeds),
        few_families=families.few,
        cases=a.digest,
        against_cases=b.digest,
    )
    if first is None or second is None:
        return result
    difference = first.value - second.value
    bounds = percentile_interval(first.resampled - second.resampled)
    p = None
    if _fewest_seeds(a, b) > 1:
        components = _variances(a, b, first, second, families)
        bounds = None if bounds is None else t_interval(difference, components)
        p = t_test(difference, components) if bounds is not None and not untested else None
    elif not untested:
        contributions = (_influences(one, metric, bootstrap, (a, b)) for one in (a, b))
        p = sign_flip_test(np.subtract(*contributions), bootstrap.seed)
    return replace(
        result,
        estimate=first.value,
        against_estimate=second.value,
        difference=difference,
        low=None if bounds is None else bounds[0],
        high=None if bounds is None else bounds[1],
        p=p,
    )


def _fewest_seeds(a: Row, b: Row) -> int:
    """The smaller number of seeds; copied slices need none."""
    return min([len(one.seeds) for one in (a, b) if not one.is_copied], default=1)


def _variances(a: Row, b: Row, first: Estimate, second: Estimate, families: Families) -> list[tuple[float, float]]:
    """Components of the variance of a difference, each with its degrees of freedom: families, then seeds."""
    k_a, k_b = len(a.seeds), len(b.seeds)
    components = [(float((first.resampled - second.resampled).var(ddof=1)), float(family_df(families)))]
    if a.digest == b.digest:  # two variants of the same trainings: their seeds are paired too
        return [*components, (float((first.by_seed - second.by_seed).var(ddof=1)) / k_a, k_a - 1.0)]
    seeds = ((first.seed_variance, k_a - 1.0), (second.seed_variance, k_b - 1.0))
    return [*components, *(one for one in seeds if one[1] > 0)]


def _test_of(n_seeds: int, families: Families) -> str:
    if n_seeds > 1:
        return "t"
    return "sign-flip exact" if len(families) <= EXACT_FAMILIES else "sign-flip"


def sign_flip_test(contributions: NDArray[np.float64], seed: int = SEED) -> float:
    """Two-sided p of families' contributions to a difference, under random swaps of the two rows within families.

    Exact up to `EXACT_FAMILIES` families; beyond that over `SIGN_FLIPS` random patterns, including the observed one.

    Args:
        contributions: (F,) float64.
        seed: of the patterns.

    Source: Fisher 1935; Phipson and Smyth 2010 for counting the observed pattern.
    """
    observed = abs(contributions.sum())
    # Sums that differ only by rounding are equal.
    threshold = observed - 1e-12 * max(np.abs(contributions).sum(), 1e-300)
    n = contributions.size
    if n <= EXACT_FAMILIES:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=n)))
        return float((np.abs(signs @ contributions) >= threshold).mean())
    random = np.random.default_rng(seed)
    signs = random.integers(0, 2, size=(SIGN_FLIPS, n), dtype=np.int8) * 2.0 - 1
    return float((1 + np.count_nonzero(np.abs(signs @ contributions) >= threshold)) / (SIGN_FLIPS + 1))


def _influences(row: Row, metric: str, bootstrap: Bootstrap, pair: tuple[Row, Row]) -> NDArray[np.float64]:
    """(F,) what each family adds to a row's metric, averaged over its seeds.

    Exact for a mean over all slices; a jackknife for metrics that are not sums over families; for the median, the share
    of slices above the median of both rows together, because a median has no useful jackknife.
    """
    families = bootstrap.families
    if metric == "hd95_median_mm":
        median = np.median(np.concatenate([one.cases["hd95_mm"].to_numpy(dtype=np.float64) for one in pair]))
        above = [(cases["hd95_mm"] > median).to_numpy(dtype=np.float64) for cases in row.seeds]
        return np.mean([_share_by_family(values, row, families) for values in above], axis=0)
    estimators = bootstrap.estimators(row, metric)
    if estimators is None:
        raise ValueError(f"{row.label} has no {metric}")
    if all(isinstance(one, Ratio) for one in estimators) and _is_mean(metric, pair):
        values = [slice_values(metric, cases) for cases in row.seeds]
        return np.mean([_share_by_family(one, row, families) for one in values], axis=0)
    n = len(families)
    without = 1 - np.eye(n)
    unit = np.ones((1, n))
    return np.mean([(n * one(unit)[0] - (n - 1) * one(without)) / n for one in estimators], axis=0)


def _is_mean(metric: str, pair: tuple[Row, Row]) -> bool:
    """Whether a ratio is a mean over all slices; a custom metric may leave some of them without a value."""
    if metric == "hd95_overlapping_mm":
        return False
    return not any(metric in one.custom and one.cases[metric].isna().any() for one in pair)


def _share_by_family(values: NDArray[np.float64], row: Row, families: Families) -> NDArray[np.float64]:
    codes = families.codes(row.seeds[0])
    return np.bincount(codes, weights=values, minlength=len(families)) / len(values)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for multiple tests.

    Source: Holm 1979.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def with_holm(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Adjust the p values of one table, metric by metric."""
    result = list(comparisons)
    for metric in dict.fromkeys(one.metric for one in result):
        places = [i for i, one in enumerate(result) if one.metric == metric and one.p is not None]
        adjusted = holm([p for i in places if (p := result[i].p) is not None])
        for i, p in zip(places, adjusted, strict=True):
            result[i] = replace(result[i], p_holm=p)
    return result


def compare_folders(rows: Sequence[Row], others: Sequence[Row], metrics: Sequence[str]) -> list[Comparison]:
    """Compare each row with its counterpart from another folder of results."""
    pairs = list(zip(rows, others, strict=True))
    return with_holm([compare(row, other, metric) for metric in metrics for row, other in pairs])


def compare_all(
    rows: Sequence[Row], against: Row, metrics: Sequence[str], bootstrap: Bootstrap | None = None
) -> list[Comparison]:
    """Compare every row of a table with a named one, with Holm's correction within each metric."""
    others = [row for row in rows if row is not against]
    return with_holm([compare(row, against, metric, bootstrap) for metric in metrics for row in others])
