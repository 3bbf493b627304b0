import numpy as np
import pytest

from mmran.metrics.released import faint_overlap, soft_loss_dice

TRUTH = np.zeros((4, 5), dtype=bool)
TRUTH[1:3, 1:3] = True


def test_dice_is_one_minus_the_smoothed_soft_loss():
    probability = np.zeros((4, 5))
    probability[1, 1], probability[0, 0] = 0.5, 0.25
    # I = .5, S = .75, G = 4: (2 * .5 + 1) / (.75 + 4 + 1)
    assert soft_loss_dice(probability, TRUTH) == pytest.approx(2 / 5.75)
    assert soft_loss_dice(np.zeros((4, 5)), np.zeros((4, 5), dtype=bool)) == 1
    with pytest.raises(ValueError, match="expected one shape"):
        soft_loss_dice(probability.T, TRUTH)


def test_every_trace_of_probability_counts_as_tumor():
    # All 20 pixels are marked, 4 of them tumor: IoU 0 and 4 / 20, recall 0 and 1.
    assert faint_overlap(np.ones((4, 5), dtype=bool), TRUTH) == pytest.approx((0.1, 0.5))
    assert faint_overlap(TRUTH, TRUTH) == (1, 1)
