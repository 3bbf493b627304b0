import math

import numpy as np
import pytest
from scipy import optimize

from mmran.metrics.calibration import Bin, brier, expected_calibration_error, log_loss, reliability, slope


def scores(n: int = 200, power: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """True classes drawn from probabilities, and these probabilities raised to a power."""
    random = np.random.default_rng(seed)
    honest = random.dirichlet((0.6, 0.6, 0.6), n)
    truth = np.array([random.choice(3, p=p) for p in honest])
    stated = honest**power
    return truth, stated / stated.sum(axis=1, keepdims=True)


def test_bins_hold_equal_numbers_of_slices_in_order_of_confidence():
    truth = np.array([0, 1, 0, 0])
    probability = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.4, 0.6]])
    # By confidence: .6 (wrong), .7 (right) | .8 (wrong), .9 (right).
    bins = reliability(truth, probability, bins=2)
    assert bins == [Bin(2, pytest.approx(0.65), 0.5), Bin(2, pytest.approx(0.85), 0.5)]
    # Half of .15 plus half of .35.
    assert expected_calibration_error(bins) == pytest.approx(0.25)


def test_fewer_slices_than_bins_are_a_bin_each():
    truth, probability = scores(3)
    assert [one.n for one in reliability(truth, probability)] == [1, 1, 1]


def test_ten_bins_of_unequal_size_weigh_by_their_slices():
    truth, probability = scores(25)
    bins = reliability(truth, probability)
    assert [one.n for one in bins] == [3] * 5 + [2] * 5
    expected = sum(one.n / 25 * abs(one.accuracy - one.confidence) for one in bins)
    assert expected_calibration_error(bins) == pytest.approx(expected)


def test_brier_and_log_loss_are_scikit_learns():
    sklearn = pytest.importorskip("sklearn.metrics")
    truth, probability = scores()
    assert log_loss(truth, probability) == pytest.approx(sklearn.log_loss(truth, probability))
    expected = sum(sklearn.brier_score_loss(truth == i, probability[:, i]) for i in range(3))
    assert brier(truth, probability) == pytest.approx(expected)


def test_a_certain_wrong_class_has_a_finite_log_loss():
    assert log_loss(np.array([0]), np.array([[0.0, 1.0]])) == pytest.approx(-math.log(1e-15))
    assert brier(np.array([0]), np.array([[0.0, 1.0]])) == 2


@pytest.mark.parametrize("power", [0.5, 1, 3])
def test_the_slope_fits_the_classes_best(power):
    truth, probability = scores(power=power)

    def loss(b: float) -> float:
        raised = probability**b
        return log_loss(truth, raised / raised.sum(axis=1, keepdims=True))

    expected = optimize.minimize_scalar(loss, bounds=(0.01, 10), method="bounded", options={"xatol": 1e-9}).x
    assert slope(truth, probability) == pytest.approx(expected, abs=1e-5)


def test_stating_powers_divides_the_slope():
    truth, honest = scores(n=3000)
    _, overconfident = scores(n=3000, power=4)
    assert slope(truth, honest) == pytest.approx(1, abs=0.1)
    assert slope(truth, overconfident) == pytest.approx(slope(truth, honest) / 4, rel=1e-3)


def test_a_worse_than_random_network_has_a_negative_slope():
    truth = np.array([0, 0, 0, 1])
    probability = np.array([[0.4, 0.6], [0.3, 0.7], [0.2, 0.8], [0.3, 0.7]])
    assert slope(truth, probability) < 0


def test_no_finite_slope_fits_a_perfect_or_an_indifferent_network():
    assert math.isnan(slope(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]])))
    assert math.isnan(slope(np.array([0, 1]), np.full((2, 2), 0.5)))
