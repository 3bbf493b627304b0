"""How often intervals hold the truth and tests call equal networks different: `python benchmarks/coverage.py`.

Simulates test sets of 209 and 137 patient families (the whole data set, and two thirds of it) with 1 to 38 slices
each, whose values share a part of their variance (the intraclass correlation, ICC). Goals: a coverage of .93 to .97,
and a type I error of at most .065 at a level of .05. The last columns show tests that treat slices as
independent. About 4 minutes on one idle core; `--quick` takes 40 seconds.
"""

import argparse
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mmran.statistics.comparisons import sign_flip_test
from mmran.statistics.estimators import Ratio
from mmran.statistics.intervals import (
    Bootstrap,
    Estimate,
    family_df,
    percentile_interval,
    t_interval,
    t_test,
)
from mmran.statistics.rows import Families

SIZES = (209, 137)
CORRELATIONS = (0.05, 0.2, 0.4, 0.6)
SEED_SD = 0.05
"""Spread between seeds, in units of the spread of slices: about as wide as that of the mean over families."""


def test_set(n_families: int, random: np.random.Generator) -> tuple[Families, NDArray[np.int64]]:
    """Families in three classes, and the family of every slice; most families are small, some have 38 slices."""
    sizes = np.minimum(1 + random.geometric(1 / 13, n_families), 38)
    strata = np.sort(random.choice(3, n_families, p=(0.35, 0.38, 0.27)))
    families = Families(tuple(map(str, range(n_families))), strata)
    return families, np.repeat(np.arange(n_families), sizes)


def values(
    family: NDArray[np.int64], effects: NDArray[np.float64], icc: float, random: np.random.Generator
) -> NDArray[np.float64]:
    """Values of all slices: skewed effects of the families, and noise."""
    return np.sqrt(icc) * effects[family] + np.sqrt(1 - icc) * random.normal(size=family.size)


def skewed(n: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Effects of mean 0, variance 1 and skewness -1: missed tumors make a tail towards the bad side."""
    return 2 - random.gamma(4.0, 0.5, n)


def estimate(samples: list[NDArray[np.float64]], family: NDArray[np.int64], bootstrap: Bootstrap) -> Estimate:
    n = len(bootstrap.families)
    return Estimate.of([Ratio.of(one, np.ones(family.size), family, n) for one in samples], bootstrap.weights)


def one_seed(
    n_families: int, icc: float, repeats: int, resamples: int, random: np.random.Generator
) -> tuple[float, float, float, float]:
    """Coverage of the bootstrap, type I error of the sign-flip test, of Wilcoxon's and of a t test on slices."""
    families, family = test_set(n_families, random)
    bootstrap = Bootstrap(families, resamples)
    covered, rejected, wilcoxon, naive = 0, 0, 0, 0
    for _ in range(repeats):
        sample = values(family, skewed(n_families, random), icc, random)
        low, high = percentile_interval(estimate([sample], family, bootstrap).resampled) or (np.nan, np.nan)
        covered += low <= 0 <= high
        # Two networks, equal in distribution, each with its own difficulty of every family.
        difference = sample - values(family, skewed(n_families, random), icc, random)
        rejected += sign_flip_test(np.bincount(family, weights=difference, minlength=n_families)) <= 0.05
        wilcoxon += stats.wilcoxon(difference).pvalue <= 0.05
        naive += stats.ttest_1samp(difference, 0).pvalue <= 0.05
    return covered / repeats, rejected / repeats, wilcoxon / repeats, naive / repeats


def several_seeds(
    n_families: int, icc: float, n_seeds: int, repeats: int, resamples: int, random: np.random.Generator
) -> tuple[float, float, float]:
    """Coverage of the t interval with both components and of the bootstrap alone, and type I error of the t test."""
    families, family = test_set(n_families, random)
    bootstrap = Bootstrap(families, resamples)
    covered, without, rejected = 0, 0, 0
    for _ in range(repeats):
        effects = skewed(n_families, random)
        first, second = (
            estimate(
                [values(family, effects, icc, random) + SEED_SD * random.normal() for _ in range(n_seeds)],
                family,
                bootstrap,
            )
            for _ in range(2)
        )
        df = float(family_df(families))
        low, high = t_interval(first.value, [(first.family_variance, df), (first.seed_variance, n_seeds - 1.0)])
        covered += low <= 0 <= high
        low, high = percentile_interval(first.resampled) or (np.nan, np.nan)
        without += low <= 0 <= high
        spread = float((first.resampled - second.resampled).var(ddof=1))
        components = [(spread, df), (first.seed_variance, n_seeds - 1.0), (second.seed_variance, n_seeds - 1.0)]
        rejected += t_test(first.value - second.value, components) <= 0.05
    return covered / repeats, without / repeats, rejected / repeats


def lines(repeats: int, resamples: int) -> Iterator[str]:
    """The report, line by line."""
    random = np.random.default_rng(1029)
    error = (0.0475 / repeats) ** 0.5
    yield f"{repeats} test sets a line, {resamples} resamples; standard error of a coverage or type I error {error:.3f}"
    yield ""
    yield "one seed:   families  ICC   coverage  type I (sign flip)  Wilcoxon on slices  t on slices"
    for n_families in SIZES:
        for icc in CORRELATIONS:
            found = one_seed(n_families, icc, repeats, resamples, random)
            coverage, flips, wilcoxon, naive = found
            yield (
                f"            {n_families:8}  {icc:.2f}  {coverage:8.3f}  {flips:18.3f}"
                f"  {wilcoxon:18.3f}  {naive:11.3f}"
            )
    yield ""
    yield "seeds:      families  ICC  seeds  coverage  without seed component  type I (t)"
    for n_families in SIZES:
        for n_seeds in (3, 5):
            found_seeds = several_seeds(n_families, 0.2, n_seeds, repeats, resamples, random)
            yield (
                f"            {n_families:8}  0.20  {n_seeds:5}  {found_seeds[0]:8.3f}  {found_seeds[1]:22.3f}"
                f"  {found_seeds[2]:10.3f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer test sets")
    repeats = 150 if parser.parse_args().quick else 800
    for line in lines(repeats, resamples=1000):
        print(line, flush=True)


if __name__ == "__main__":
    main()
