import dataclasses
import itertools

import numpy as np
import pytest
from scipy import stats

from mmran.data.published import CLASSES
from mmran.errors import UserError
from mmran.metrics.names import find_metric, metric_names
from mmran.statistics.comparisons import compare, compare_all, holm, p_text, sign_flip_test
from mmran.statistics.intervals import Bootstrap
from mmran.statistics.rows import Families, Row, check_same_slices
from tests.unit.statistics.samples import cases, publish, row, sample

ALL_METRICS = metric_names(CLASSES)


def test_three_families_by_hand():
    # Of the 8 patterns of 1, 2, 3, the sums +6 and -6 are as large as 6; of 1, 2, -3 all are as large as 0.
    assert sign_flip_test(np.array([1.0, 2.0, 3.0])) == 2 / 8
    assert sign_flip_test(np.array([1.0, 2.0, -3.0])) == 1


@pytest.mark.parametrize("n", [5, 11])
def test_the_exact_test_is_scipys(n):
    values = np.random.default_rng(n).normal(0.4, 1, n)
    expected = stats.permutation_test(
        (values,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert sign_flip_test(values) == pytest.approx(expected.pvalue, abs=1e-12)


def test_random_patterns_come_near_the_exact_p():
    values = np.random.default_rng(1).normal(0.1, 1, 17)
    signs = np.array(list(itertools.product((1, -1), repeat=17)))
    exact = (np.abs(signs @ values) >= abs(values.sum()) - 1e-9).mean()
    assert 0.02 < exact < 0.5
    # 9,999 patterns: four standard errors.
    assert sign_flip_test(values) == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 9999))


def test_holm_by_hand():
    # Sorted .01 * 3, .03 * 2, and .04, which may not fall below .06.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]


def test_holm_is_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(0).random(9) / 5
    assert holm(p.tolist()) == pytest.approx(multitest.multipletests(p, method="holm")[1])


@pytest.mark.parametrize("metric", ALL_METRICS)
def test_a_row_does_not_differ_from_itself(metric):
    found = compare(sample(), sample("twin"), metric)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


@pytest.mark.parametrize("metric", ALL_METRICS)
def test_a_clear_difference_is_found_and_an_equal_row_is_not_called_different(metric):
    frame = cases(n_families=60)
    better = frame.copy()
    random = np.random.default_rng(5)
    released = ("dice_released", "miou_released", "mpa_released")
    for name in ("dice", "soft_dice", "nsd_2mm", "iou_tumor", "recall_tumor", *released):
        better[name] = np.minimum(frame[name] + 0.2, 1)
    for name in ("hd95_mm", "assd_mm"):
        better[name] = np.minimum(frame[name], 10) * 0.5
    better["missed"] = 0
    better["overlaps"] = np.where(random.random(len(frame)) < 0.97, 1, frame["overlaps"])
    for i, name in enumerate(("meningioma", "glioma", "pituitary"), start=1):
        better[f"p_{name}"] = 0.5 * frame[f"p_{name}"] + 0.5 * (frame["label"] == i)
    better["predicted"] = better[["p_meningioma", "p_glioma", "p_pituitary"]].to_numpy().argmax(axis=1) + 1
    found = compare(row(better, "better"), row(frame), metric)
    assert found.p < 0.05
    lower = find_metric(metric).lower_is_better
    assert found.row_is_better(lower)
    assert not (found.low <= 0 <= found.high)
    back = compare(row(frame), row(better, "better"), metric)
    assert (back.difference, back.p, back.row_is_better(lower)) == (-found.difference, found.p, False)


def test_the_difference_is_of_the_means_and_its_interval_is_paired():
    a, b = cases(), cases(draw=7)
    b["dice"] = a["dice"] - 0.05 + 0.001 * b["dice"]  # nearly the same slice by slice
    found = compare(row(a), row(b), "dice")
    assert found.difference == pytest.approx(a["dice"].mean() - b["dice"].mean())
    bootstrap = Bootstrap(Families.of(row(a)))
    alone = bootstrap.estimate(row(a), "dice").resampled
    assert found.high - found.low < 0.1 * np.ptp(np.quantile(alone, (0.025, 0.975)))


def test_holm_runs_within_each_metric_of_a_table():
    rows = [sample(f"net{i}", draw=i) for i in range(3)]
    found = compare_all(rows, rows[0], ["dice", "acc"])
    assert [(one.row, one.against, one.metric) for one in found] == [
        *[("net1", "net0", "dice"), ("net2", "net0", "dice")],
        *[("net1", "net0", "acc"), ("net2", "net0", "acc")],
    ]
    for metric in ("dice", "acc"):
        of_metric = [one for one in found if one.metric == metric]
        assert [one.p_holm for one in of_metric] == holm([one.p for one in of_metric])


@pytest.mark.parametrize(
    ("k_a", "k_b", "test", "certifies"),
    [(1, 1, "sign-flip", "weights"), (3, 1, "sign-flip", "weights"), (2, 3, "t", "weights"), (3, 3, "t", "methods")],
)
def test_three_seeds_on_both_sides_certify_methods(k_a, k_b, test, certifies):
    found = compare(sample(seeds=tuple(range(k_a))), sample("b", draw=3, seeds=tuple(range(k_b))), "dice")
    assert (found.test, found.certifies) == (test, certifies)
    assert 0 < found.p <= 1


def test_two_variants_of_the_same_trainings_pair_their_seeds():
    frame = cases(seeds=(1, 2, 3))
    frame["dice"] += 0.3 * (frame["seed"] - 2)  # trainings far apart
    filled = frame.assign(dice=frame["dice"] + 0.01, variant="pkp")
    same = compare(row(filled, "net"), row(frame, "net"), "dice")
    apart = compare(row(filled, "pkp"), dataclasses.replace(row(frame), digest="d" * 64), "dice")
    assert same.p < 0.001 < 0.5 < apart.p
    assert (same.low, same.high) == pytest.approx((0.01, 0.01))


def test_few_families_are_counted_exactly():
    assert compare(sample(n_families=12), sample("b", n_families=12, draw=1), "acc").test == "sign-flip exact"


def test_only_shared_slices_are_compared():
    a, b = cases(), cases(draw=2)
    found = compare(row(a), row(b[b["slice"] > 20].reset_index(drop=True)), "dice")
    kept = a["slice"] > 20
    assert found.n_slices == kept.sum()
    assert found.estimate == pytest.approx(a.loc[kept, "dice"].mean())


def test_rows_without_a_shared_slice_and_rows_of_other_data_are_refused():
    a, b = cases(), cases(draw=2)
    with pytest.raises(UserError, match="a and b share no test slice"):
        compare(row(a, "a"), row(b.assign(slice=b["slice"] + 1000), "b"), "dice")
    with pytest.raises(UserError, match="slice 1 has another class or family in each"):
        compare(row(a, "a"), row(b.assign(family="G" + b["family"]), "b"), "dice")
    with pytest.raises(UserError, match="a and b tested different slices"):
        check_same_slices([row(a, "a"), row(b[b["slice"] > 3].reset_index(drop=True), "b")])


def test_seeds_that_tested_different_slices_are_refused():
    frame = cases(seeds=(1, 2))
    frame = frame[(frame["seed"] == 1) | (frame["slice"] > 1)].reset_index(drop=True)
    with pytest.raises(UserError, match="net: seeds 1 and 2 tested different slices"):
        compare(row(frame), row(frame), "dice")


def test_a_task_that_a_row_lacks_has_no_difference():
    frame = cases()
    frame["predicted"] = frame["predicted"].astype("Int64")
    frame.loc[:, "predicted"] = None
    found = compare(row(frame), sample("b"), "acc")
    assert (found.difference, found.p, found.row_is_better(False)) == (None, None, None)


def test_rows_are_read_from_results_and_edited_cases_are_refused(tmp_path):
    publish(tmp_path, cases())
    found = Row.read(tmp_path)
    assert (found.label, found.protocol, len(found.seeds)) == ("net", "paper", 1)
    with pytest.raises(UserError, match=r"cases\.csv: has no variant pkp, expected one of raw"):
        Row.read(tmp_path, "pkp")
    path = tmp_path / "cases.csv"
    path.write_text(path.read_text().replace("net,paper,1,0,1,", "net,paper,1,0,9999,"))
    with pytest.raises(UserError, match=r"not made from .*cases\.csv as it is now"):
        Row.read(tmp_path)


@pytest.mark.slow
def test_equal_networks_are_called_different_as_rarely_as_the_level_says():
    # 60 families of 1 to 5 slices; two networks equal in distribution, both drawn to each family's difficulty. 600
    # pairs: at a true level of .05, three standard errors reach .077.
    random = np.random.default_rng(2)
    sizes = random.integers(1, 6, 60)
    family = np.repeat(np.arange(60), sizes)
    rejected = 0
    for _ in range(600):
        networks = random.normal(0, 0.7, (2, 60))[:, family] + random.normal(size=(2, family.size))
        rejected += sign_flip_test(np.bincount(family, weights=networks[0] - networks[1]), 1) <= 0.05
    assert rejected / 600 <= 0.077


def test_a_row_at_chance_is_not_tested_and_takes_no_part_in_holm():
    frame = cases()
    lazy = row(frame.assign(predicted=frame["label"].mode()[0]), "lazy")  # always the most frequent class
    fine = row(frame.assign(predicted=frame["label"]), "fine")
    other = sample("other", draw=3)
    assert lazy.chance == {"classes"}
    assert not other.chance
    found = compare_all([lazy, other, fine], fine, ["acc"])
    assert [(one.row, one.test == "at chance") for one in found] == [("lazy", True), ("other", False)]
    assert (found[0].p, found[0].p_holm) == (None, None)
    assert found[0].difference < 0
    assert found[1].p_holm == found[1].p
    assert compare(lazy, fine, "dice").p is not None


def test_masks_that_mark_the_whole_slice_are_at_chance():
    frame = cases()
    whole = 2 * frame["tumor_mm2"] / (frame["tumor_mm2"] + frame["image_mm2"])
    assert row(frame.assign(dice=whole)).chance == {"masks"}
    assert not row(frame.assign(dice=whole + 0.01)).chance


def test_copied_slices_need_no_seeds_to_be_compared_with_a_method():
    net = sample("net", seeds=(1, 2, 3))
    copied = row(cases(draw=7, name="nearest-slice"), "nearest-slice")
    found = compare(net, copied, "dice")
    assert (found.test, found.certifies, found.n_seeds, found.against_n_seeds) == ("t", "methods", 3, 1)
    assert found.low < found.difference < found.high
    alone = compare(sample("net", seeds=(1,)), copied, "dice")
    assert (alone.test, alone.certifies) == ("sign-flip", "weights")


@pytest.mark.parametrize(("p", "printed"), [(0.0123, "0.0123"), (1, "1.0000"), (1e-4, "0.0001"), (1e-66, "<0.0001")])
def test_no_p_value_is_printed_as_zero(p: float, printed: str) -> None:
    assert p_text(p) == printed
