import numpy as np
import pytest
from scipy import stats

from mmran.errors import UserError
from mmran.statistics.files import to_csv
from mmran.statistics.intervals import (
    Bootstrap,
    Estimate,
    Interval,
    interval,
    percentile_interval,
    satterthwaite_df,
    t_interval,
    t_test,
    wilson,
)
from mmran.statistics.rows import Families
from tests.unit.statistics.samples import cases, row, sample


@pytest.mark.parametrize(("k", "n"), [(275, 306), (266, 306), (0, 20), (20, 20), (1, 3)])
def test_wilsons_interval_is_scipys(k, n):
    expected = stats.binomtest(k, n).proportion_ci(method="wilson")
    assert wilson(k / n, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilsons_interval_of_two_printed_accuracies():
    assert [round(100 * bound, 1) for bound in wilson(275 / 306, 306)] == [86.0, 92.8]
    assert [round(100 * bound, 1) for bound in wilson(266 / 306, 306)] == [82.7, 90.3]


def test_satterthwaite_and_the_t_test_are_scipys_welch_test():
    random = np.random.default_rng(4)
    a, b = random.normal(0.5, 1, 7), random.normal(0, 3, 5)
    welch = stats.ttest_ind(a, b, equal_var=False)
    components = [(a.var(ddof=1) / 7, 6), (b.var(ddof=1) / 5, 4)]
    difference = a.mean() - b.mean()
    assert satterthwaite_df(components) == pytest.approx(welch.df)
    assert t_test(difference, components) == pytest.approx(welch.pvalue)
    low, high = welch.confidence_interval(0.95)
    assert t_interval(difference, components) == pytest.approx((low, high))


def test_the_bootstrap_variance_of_a_mean_is_the_stratified_one():
    # One slice per family, so that a resample always has as many slices. Within a class of n families the variance of
    # a mean of n draws is s2 / n with divisor n, and the classes weigh n / N.
    frame = cases().drop_duplicates("family").reset_index(drop=True)
    bootstrap = Bootstrap(Families.of(row(frame)), resamples=20_000)
    expected = sum(len(part) * part["dice"].var(ddof=0) for _, part in frame.groupby("label")) / len(frame) ** 2
    assert bootstrap.estimate(row(frame), "dice").family_variance == pytest.approx(expected, rel=0.03)


def test_every_resample_draws_as_many_families_of_each_class():
    families = Families.of(sample())
    weights = families.resampled(50, seed=3)
    for stratum in range(3):
        chosen = families.strata == stratum
        assert (weights[:, chosen].sum(axis=1) == np.count_nonzero(chosen)).all()


def test_one_seed_has_the_central_part_of_the_resamples():
    found = sample()
    bootstrap = Bootstrap(Families.of(found), resamples=2000)
    one = interval(found, "dice", bootstrap)
    expected = np.quantile(bootstrap.estimate(found, "dice").resampled, (0.025, 0.975))
    assert (one.low, one.high) == pytest.approx(tuple(expected))
    assert (one.method, one.n_seeds, one.seed_sd) == ("bootstrap", 1, None)
    assert one.low < one.estimate < one.high


def test_several_seeds_add_their_own_variance():
    found = sample(seeds=(1, 2, 3))
    bootstrap = Bootstrap(Families.of(found), resamples=2000)
    one, estimate = interval(found, "dice", bootstrap), bootstrap.estimate(found, "dice")
    by_seed = [cases["dice"].mean() for cases in found.seeds]
    assert one.estimate == pytest.approx(np.mean(by_seed))
    assert one.seed_sd == pytest.approx(np.std(by_seed, ddof=1))
    assert (one.method, one.n_seeds) == ("t", 3)
    # Two components: 30 families in 3 classes, 3 seeds.
    v_families, v_seeds = estimate.family_variance, np.var(by_seed, ddof=1) / 3
    df = (v_families + v_seeds) ** 2 / (v_families**2 / 27 + v_seeds**2 / 2)
    half = stats.t.ppf(0.975, df) * np.sqrt(v_families + v_seeds)
    assert (one.low, one.high) == pytest.approx((one.estimate - half, one.estimate + half))


def test_a_family_of_equal_slices_counts_as_one():
    # 30 families of 4 equal slices: 120 slices say as much as 30, but for the smaller variance within classes.
    frame = cases().drop_duplicates("family").reset_index(drop=True)
    frame = frame.loc[np.repeat(frame.index, 4)].reset_index(drop=True)
    frame["slice"] = np.arange(len(frame))
    one = interval(row(frame), "acc", Bootstrap(Families.of(row(frame))))
    assert 25 < one.effective_n < 45
    assert one.wilson_high - one.wilson_low > 0.8 * (one.high - one.low)
    assert interval(row(frame), "dice", Bootstrap(Families.of(row(frame)))).effective_n is None


def test_a_share_of_one_has_no_wider_claim_than_its_families():
    frame = cases()
    frame["predicted"] = frame["label"]
    one = interval(row(frame), "acc", Bootstrap(Families.of(row(frame)), resamples=200))
    assert (one.low, one.high, one.effective_n) == (1, 1, 30)
    assert one.wilson_low == pytest.approx(wilson(1, 30)[0])


def test_a_metric_without_the_task_is_empty():
    frame = cases()
    frame["missed"] = frame["missed"].astype("Int64")
    frame.loc[:, "missed"] = None
    one = interval(row(frame), "dice", Bootstrap(Families.of(row(frame)), resamples=100))
    assert (one.estimate, one.low, one.high) == (None, None, None)
    assert ",dice,,,," in to_csv(Interval, [one])


@pytest.mark.parametrize(("n_families", "few"), [(29, True), (30, False)])
def test_few_families_are_said(n_families, few):
    assert Families.of(sample(n_families=n_families)).few == few


def test_one_family_and_one_class_are_refused():
    frame = cases()
    with pytest.raises(UserError, match="all test slices are of patient family F000; statistics need at least two"):
        Families.of(row(frame[frame["family"] == "F000"]))
    with pytest.raises(UserError, match="all test slices are of class glioma; statistics need at least two"):
        Families.of(row(frame[frame["label"] == 2]))


def test_an_undefined_resample_leaves_no_interval():
    assert percentile_interval(np.array([0.1, np.nan, 0.2])) is None


def test_the_same_cases_give_the_same_bytes():
    texts = set()
    for _ in range(2):
        found = sample()
        texts.add(to_csv(Interval, [interval(found, "f1", Bootstrap(Families.of(found), resamples=500))]))
    assert len(texts) == 1


def test_intervals_cover_the_truth_as_often_as_they_say():
    # 137 families of 1 to 5 slices in 3 classes whose values share half their variance; truth 0. 400 test sets: the
    # coverage of a right interval lies within .95 +- 3 * .011.
    random = np.random.default_rng(8)
    sizes = random.integers(1, 6, 137)
    families = Families(tuple(map(str, range(137))), np.arange(137) % 3)
    bootstrap = Bootstrap(families, resamples=1000)
    family = np.repeat(np.arange(137), sizes)
    covered = 0
    for _ in range(400):
        values = random.normal(size=137)[family] + random.normal(size=family.size)
        sums = np.bincount(family, weights=values)
        estimate = Estimate.of([lambda weights, sums=sums: (weights @ sums) / (weights @ sizes)], bootstrap.weights)
        low, high = percentile_interval(estimate.resampled)
        covered += low <= 0 <= high
    assert 0.917 <= covered / 400 <= 0.983
