import pytest
from scipy import stats

from mmran.config.claims import Claim
from mmran.statistics.claims import PrintedTest, judge, mcnemar_exact, printed_test, slices_of
from tests.unit.statistics.samples import cases, row, sample

MMRAN = 89.87
PRINTED = {"resnet-50": 85.29, "datta": 89.22, "y-net": 87.91, "chen": 86.93, "he": 87.58, "mb-dcnn": 88.56}


def test_printed_accuracies_are_slices_out_of_306():
    found = {name: slices_of(value) for name, value in (PRINTED | {"mmran": MMRAN}).items()}
    assert found == {
        **{"resnet-50": 261, "datta": 273, "y-net": 269, "chen": 266, "he": 268, "mb-dcnn": 271},
        "mmran": 275,
    }
    assert slices_of(89.90) is None


@pytest.mark.parametrize(("first", "second"), [(14, 0), (9, 2), (5, 5), (0, 0)])
def test_mcnemar_is_the_binomial_test(first, second):
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar_exact(first, second) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "max_discordant"),
    # Ahead by 2, 4, 6, 7, 9 and 14 slices; 2 / 2**6 = .031 is the first below .05.
    [("datta", None), ("mb-dcnn", None), ("y-net", 6), ("he", 9), ("chen", 17), ("resnet-50", 44)],
)
def test_what_the_printed_accuracies_allow(name, max_discordant):
    assert printed_test(MMRAN, PRINTED[name]).max_discordant == max_discordant


def test_after_holm_only_two_rows_of_table_5_can_differ_from_mmran():
    from mmran.statistics.comparisons import holm

    adjusted = dict(zip(PRINTED, holm([printed_test(MMRAN, value).best_p for value in PRINTED.values()]), strict=True))
    assert {name: round(p, 4) for name, p in adjusted.items() if p <= 0.05} == {"resnet-50": 0.0007, "chen": 0.0195}


def test_an_accuracy_that_is_no_share_of_306_is_not_tested():
    assert printed_test(90.0, 85.29) is None
    assert printed_test(85.29, 85.29) == PrintedTest(1.0, None)


def better(frame):
    changed = frame.copy()
    changed["dice"] = (changed["dice"] + 0.25).clip(upper=1)
    return changed


SEEDS = (1, 2, 3)
DICE = Claim("a has the higher Dice", "a", "b", "dice")


def verdict(a, b, claim=DICE) -> str:
    return judge([claim], {"a": a, "b": b})[0].verdict


def test_three_seeds_support_or_contradict_a_claim():
    low, high = sample("b", seeds=SEEDS), row(better(cases(seeds=SEEDS, draw=1)), "a")
    assert verdict(high, low) == "supported"
    assert verdict(low, high) == "contradicted"
    assert verdict(low, sample("c", seeds=SEEDS, draw=5)) == "indistinguishable"


def test_one_seed_never_supports_a_claim():
    low, high = sample("b"), row(better(cases(draw=1)), "a")
    found = judge([DICE], {"a": high, "b": low})[0]
    assert found.p < 0.05
    assert (found.n_seeds, found.verdict) == (1, "untestable")


def test_seeds_of_one_experiment_are_never_supported():
    frames = [cases(seeds=(seed,)) for seed in range(6)]
    for i in range(1, 6):
        assert verdict(row(frames[0], "a"), row(frames[i], "b")) in ("indistinguishable", "untestable")


def test_an_absent_row_leaves_a_claim_untestable_but_not_its_print():
    claim = Claim("MMRAN classifies best", "a", "absent", "acc", MMRAN, PRINTED["chen"])
    found = judge([claim], {"a": sample()})[0]
    assert (found.verdict, found.ours_row, found.max_discordant) == ("untestable", None, 17)
    assert found.best_p == pytest.approx(2 / 2**9)


def test_a_row_at_chance_leaves_a_claim_untestable():
    frame = cases(seeds=SEEDS)
    found = judge([DICE], {"a": sample("a", seeds=SEEDS), "b": row(frame.assign(dice=0.001), "b")})[0]
    assert (found.p, found.verdict) == (None, "untestable")
    assert found.difference > 0.5
