"""Numbers from counters: the published sequence, independent of company, and statistically sound."""

import numpy as np
import pytest
from scipy import stats

from mmran.data import counters


def test_bits_are_the_published_splitmix64_sequence():
    # The first five outputs for the seed 1234567, as published with the reference implementation.
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert counters.draw_bits(np.array([1234567], np.uint64), 5)[0].tolist() == expected


def test_keys_stay_what_they_were():
    # Recorded: every trained weight depends on them.
    keys = counters.stream_keys(1029, 3, [1, 3064], counters.TRANSFORMS)
    assert keys.tolist() == [13023728149244619963, 2085569343529521442]


def test_a_slice_has_the_same_numbers_in_any_company():
    numbers = np.array([7, 3064, 1, 955])
    together = counters.draw_uniform(counters.stream_keys(1029, 5, numbers, counters.TRANSFORMS), 6)
    for number, row in zip(numbers, together, strict=True):
        alone = counters.draw_uniform(counters.stream_keys(1029, 5, [number], counters.TRANSFORMS), 6)
        np.testing.assert_array_equal(alone[0], row)


def test_fewer_draws_are_the_first_of_more():
    keys = counters.stream_keys(1, 2, [3], counters.ELASTIC)
    np.testing.assert_array_equal(counters.draw_bits(keys, 4), counters.draw_bits(keys, 9)[:, :4])


def test_every_word_of_the_key_counts_and_none_is_interchangeable():
    keys = {
        int(counters.stream_keys(seed, epoch, [number], purpose)[0])
        for seed in range(6)
        for epoch in range(6)
        for number in range(6)
        for purpose in range(5)
    }
    assert len(keys) == 6 * 6 * 6 * 5


def test_a_negative_seed_is_a_seed():
    assert counters.stream_keys(-1, 0, [1], counters.ORDER) != counters.stream_keys(1, 0, [1], counters.ORDER)


def test_uniform_numbers_stay_below_one_for_the_largest_bits(monkeypatch):
    largest = np.full((1, 1), 2**64 - 1, np.uint64)
    monkeypatch.setattr(counters, "draw_bits", lambda keys, n: largest)
    assert counters.draw_uniform(largest[0], 1)[0, 0] == 1 - 2.0**-53
    pair = counters.draw_symmetric_pairs(largest[0], 1)[0, :, 0]
    assert (pair < 1).all()
    assert (pair > 1 - 1e-6).all()


def test_uniform_numbers_fill_the_interval_evenly():
    drawn = counters.draw_uniform(counters.stream_keys(1029, 0, np.arange(3064), counters.TRANSFORMS), 64)
    counts = np.histogram(drawn, bins=256, range=(0, 1))[0]
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("neighbor", ["seed", "epoch", "number", "purpose", "draw"])
def test_neighboring_counters_are_not_correlated(neighbor):
    numbers = np.arange(1, 3065)
    here = {"seed": 1029, "epoch": 7, "numbers": numbers, "purpose": 1}
    step = {"number": "numbers"}.get(neighbor, neighbor)
    there = here if neighbor == "draw" else here | {step: here[step] + 1}
    first = counters.draw_uniform(counters.stream_keys(**here), 33)
    second = counters.draw_uniform(counters.stream_keys(**there), 33)
    # 3064 x 32 pairs: the correlation's standard error is .0032.
    shift = 1 if neighbor == "draw" else 0
    correlation = np.corrcoef(first[:, :32].ravel(), second[:, shift : 32 + shift].ravel())[0, 1]
    assert abs(correlation) < 0.013


def test_pairs_are_symmetric_uniform_and_unrelated_to_each_other():
    pairs = counters.draw_symmetric_pairs(counters.stream_keys(3, 0, np.arange(100), counters.ELASTIC), 1000)
    assert pairs.dtype == np.float32
    x, y = pairs[:, 0].ravel(), pairs[:, 1].ravel()
    for values in (x, y):
        assert stats.kstest(values, stats.uniform(-1, 2).cdf).pvalue > 1e-3
    # 100,000 pairs: the correlation's standard error is .0032.
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.013
