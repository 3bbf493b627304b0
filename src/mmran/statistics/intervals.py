"""95 % intervals: percentile bootstrap of patient families within class, and a t interval over several seeds.

Ten thousand resamples of one shared weight matrix take about a second on one core for a table of 23 rows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from mmran.metrics.names import Metric
from mmran.statistics.estimators import Estimator, estimator
from mmran.statistics.rows import Families, Row

RESAMPLES = 10_000
SEED = 1029
LEVEL = 0.95
Z = 1.959963984540054
"""The 97.5th percentile of the normal distribution."""


@dataclass(frozen=True)
class Estimate:
    """An estimate over the seeds of a row with both components of its variance.

    Attributes:
        value: mean over the seeds.
        resampled: (B,) the same for every resample of the families.
        by_seed: (k,) value of each seed.
    """

    value: float
    resampled: NDArray[np.float64]
    by_seed: NDArray[np.float64]

    @classmethod
    def of(cls, estimators: Sequence[Estimator], weights: NDArray[np.float64]) -> "Estimate":
        """Evaluate the estimator of each seed on unit weights and on resamples (B, F)."""
        unit = np.ones((1, weights.shape[1]))
        by_seed = np.array([one(unit)[0] for one in estimators])
        resampled = np.mean([one(weights) for one in estimators], axis=0)
        return cls(float(by_seed.mean()), resampled, by_seed)

    @property
    def family_variance(self) -> float:
        """Variance over the resamples of the families."""
        return float(self.resampled.var(ddof=1))

    @property
    def seed_variance(self) -> float:
        """Variance of the mean over the seeds; 0 for one seed, which cannot show it."""
        k = self.by_seed.size
        return float(self.by_seed.var(ddof=1)) / k if k > 1 else 0.0


@dataclass(frozen=True)
class Bootstrap:
    """The families of a test set and the weights that resample them, shared by all rows of a table."""

    families: Families
    resamples: int = RESAMPLES
    seed: int = SEED
    # A table compares every row with the same one, whose estimate it needs each time. The row is kept with its
    # estimate, so that its id is not reused.
    _known: dict[tuple[int, str], tuple[Row, Estimate | None]] = field(default_factory=dict, repr=False, compare=False)

    def estimate(self, row: Row, metric: str) -> Estimate | None:
        """Estimate a metric of a row; None where it is not defined."""
        key = (id(row), metric)
        if key not in self._known:
            estimators = self.estimators(row, metric)
            found = None if estimators is None else Estimate.of(estimators, self.weights)
            self._known[key] = (row, None if found is None or math.isnan(found.value) else found)
        return self._known[key][1]

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """(B, F) how often each resample draws each family."""
        return self.families.resampled(self.resamples, self.seed)

    def estimators(self, row: Row, metric: str) -> list[Estimator] | None:
        """The estimator of each seed; None where the network lacks the task."""
        found = [estimator(metric, cases, self.families.codes(cases), len(self.families)) for cases in row.seeds]
        return None if None in found else [one for one in found if one is not None]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A metric of a row and how far it can be trusted.

    Attributes:
        row, experiment, variant, protocol, metric: which.
        estimate: as in summary.json; None where the metric is not defined.
        low, high: 95 % interval; None where it is not defined.
        method: "bootstrap" for one seed, "t" for several, "none" without an interval.
        seed_sd: standard deviation between the seeds; None for one.
        wilson_low, wilson_high: Wilson's interval at the effective number of slices, for a share of slices.
        effective_n: independent slices that would be as informative, for a share of slices.
        n_slices, n_families, n_seeds: how many.
        few_families: whether there are too few families for the interval to hold its level.
        at_chance: whether the row has learned nothing about the task (`Row.chance`).
        cases: SHA-256 of cases.csv.
    """

    row: str
    experiment: str
    variant: str
    protocol: str
    metric: str
    estimate: float | None
    low: float | None = None
    high: float | None = None
    method: str
    seed_sd: float | None = None
    wilson_low: float | None = None
    wilson_high: float | None = None
    effective_n: float | None = None
    n_slices: int
    n_families: int
    n_seeds: int
    few_families: bool
    at_chance: bool
    cases: str


def percentile_interval(resampled: NDArray[np.float64]) -> tuple[float, float] | None:
    """The central 95 % of the resamples; None where one of them leaves the metric undefined."""
    if not np.isfinite(resampled).all():
        return None
    low, high = np.quantile(resampled, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def satterthwaite_df(components: Sequence[tuple[float, float]]) -> float:
    """Degrees of freedom of a sum of variances, each with its own degrees of freedom.

    Source: Satterthwaite 1946.
    """
    total = sum(variance for variance, _ in components)
    spread = sum(variance**2 / df for variance, df in components)
    return total**2 / spread if spread > 0 else math.inf


def t_interval(value: float, components: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """95 % t interval around a value, from components of its variance, each with its degrees of freedom."""
    half = float(stdtrit(satterthwaite_df(components), (1 + LEVEL) / 2)) * math.sqrt(sum(v for v, _ in components))
    return value - half, value + half


def t_test(value: float, components: Sequence[tuple[float, float]]) -> float:
    """Two-sided p of a value against zero, from components of its variance, each with its degrees of freedom."""
    total = sum(variance for variance, _ in components)
    if total == 0:
        return 1.0 if value == 0 else 0.0
    return 2 * float(stdtr(satterthwaite_df(components), -abs(value) / math.sqrt(total)))


def family_df(families: Families) -> int:
    """Degrees of freedom of a variance between families within class."""
    return max(len(families) - np.unique(families.strata).size, 1)


def wilson(share: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of n independent slices.

    Source: Wilson 1927.
    """
    center = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return max(center - half, 0.0), min(center + half, 1.0)


def interval(row: Row, metric: str, bootstrap: Bootstrap) -> Interval:
    """Estimate a metric of a row.

    Args:
        row: the experiment.
        metric: a name that `mmran.metrics.find_metric` knows, or of a custom metric of the row.
        bootstrap: of the row's families.
    """
    estimate = bootstrap.estimate(row, metric)
    bounds = None if estimate is None else _bounds(estimate, row.metric(metric), bootstrap.families)
    n = len(row.seeds[0])
    shares = _wilson_of(estimate, n, bootstrap.families) if estimate is not None and metric == "acc" else None
    return Interval(
        **row.origin,
        variant=row.variant,
        metric=metric,
        estimate=None if estimate is None else estimate.value,
        low=None if bounds is None else bounds[0],
        high=None if bounds is None else bounds[1],
        method="t" if len(row.seeds) > 1 else "bootstrap",
        seed_sd=float(estimate.by_seed.std(ddof=1)) if estimate is not None and len(row.seeds) > 1 else None,
        wilson_low=None if shares is None else shares[1][0],
        wilson_high=None if shares is None else shares[1][1],
        effective_n=None if shares is None else shares[0],
        n_slices=n,
        n_families=len(bootstrap.families),
        n_seeds=len(row.seeds),
        few_families=bootstrap.families.few,
        at_chance=row.at_chance(metric),
    )


def _bounds(estimate: Estimate, metric: Metric, families: Families) -> tuple[float, float] | None:
    low_high = percentile_interval(estimate.resampled)
    if low_high is None or estimate.by_seed.size == 1:
        return low_high
    components = [
        (estimate.family_variance, family_df(families)),
        (estimate.seed_variance, estimate.by_seed.size - 1),
    ]
    low, high = t_interval(estimate.value, components)
    # No share lies above one, and few metrics below zero.
    return low if metric.is_signed else max(low, 0.0), min(high, 1.0) if metric.is_fraction else high


def _wilson_of(estimate: Estimate, n: int, families: Families) -> tuple[float, tuple[float, float]]:
    """Effective number of slices, and Wilson's interval at it."""
    share = estimate.value
    independent = share * (1 - share) / n
    variance = estimate.family_variance
    # Without variance, as at a share of 1, a family is as good as one slice.
    effective = len(families) if variance == 0 else n * independent / variance
    effective = min(max(effective, 1.0), float(n))
    return effective, wilson(share, effective)


def intervals(rows: Sequence[Row], metrics: Sequence[str], bootstrap: Bootstrap) -> list[Interval]:
    """Every metric of every row of one test set."""
    return [interval(row, metric, bootstrap) for row in rows for metric in metrics]
