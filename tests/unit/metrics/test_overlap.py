import math

import numpy as np
import pytest

from mmran.metrics.overlap import PixelCounts, count_pixels, dice, iou, recall, soft_dice

EMPTY = np.zeros((4, 5), dtype=bool)
FULL = np.ones((4, 5), dtype=bool)


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Truth: columns 0..2 of rows 0..1 (6 pixels). Prediction: columns 1..3 of rows 0..1 (6), 4 in common."""
    truth, prediction = EMPTY.copy(), EMPTY.copy()
    truth[:2, 0:3] = True
    prediction[:2, 1:4] = True
    return prediction, truth


def test_pixels_are_counted_by_prediction_and_truth(pair):
    # 20 pixels: 4 in both, 2 only predicted, 2 only true, 12 in neither.
    assert count_pixels(*pair) == PixelCounts(4, 2, 2, 12)


def test_dice_is_twice_the_intersection_over_the_sum(pair):
    assert dice(count_pixels(*pair)) == pytest.approx(2 * 4 / (6 + 6))


def test_iou_of_tumor_and_background_and_their_mean(pair):
    # Tumor 4 / (4 + 2 + 2), background 12 / (12 + 2 + 2).
    found = iou(count_pixels(*pair))
    assert found == pytest.approx((12 / 16, 4 / 8))
    assert found.mean == pytest.approx(0.625)


def test_recall_is_over_the_pixels_that_truly_belong_to_a_class():
    # Truth has 2 tumor pixels, the prediction 5, 1 in common: recall 1/2 where precision would be 1/5.
    counts = PixelCounts(true_positive=1, false_positive=4, false_negative=1, true_negative=14)
    assert recall(counts) == pytest.approx((14 / 18, 1 / 2))
    assert recall(counts).mean == pytest.approx((14 / 18 + 1 / 2) / 2)


def test_two_empty_masks_agree_and_recall_of_tumor_is_not_defined():
    counts = count_pixels(EMPTY, EMPTY)
    assert dice(counts) == 1.0
    assert iou(counts) == (1.0, 1.0)
    assert recall(counts).background == 1.0
    assert math.isnan(recall(counts).tumor)
    assert recall(counts).mean == 1.0


def test_a_missed_tumor_scores_zero(pair):
    _, truth = pair
    counts = count_pixels(EMPTY, truth)
    assert dice(counts) == 0.0
    assert iou(counts) == pytest.approx((14 / 20, 0.0))
    assert recall(counts) == (1.0, 0.0)


def test_tumor_where_there_is_none_scores_zero(pair):
    prediction, _ = pair
    counts = count_pixels(prediction, EMPTY)
    assert dice(counts) == 0.0
    assert iou(counts).tumor == 0.0
    assert math.isnan(recall(counts).tumor)


def test_a_frame_full_of_tumor_has_no_background_to_recall():
    counts = count_pixels(FULL, FULL)
    assert iou(counts) == (1.0, 1.0)
    assert math.isnan(recall(counts).background)
    assert recall(counts).tumor == 1.0


def test_soft_dice_weighs_pixels_by_probability():
    truth = np.array([[True, True, False, False]])
    probability = np.array([[1.0, 0.5, 0.25, 0.0]], dtype=np.float32)
    # Intersection 1.5; sizes 1.75 and 2.
    assert soft_dice(probability, truth) == pytest.approx(2 * 1.5 / 3.75)


def test_soft_dice_of_a_hard_mask_is_dice(pair):
    prediction, truth = pair
    assert soft_dice(prediction.astype(np.float32), truth) == pytest.approx(dice(count_pixels(*pair)))


def test_soft_dice_of_nothing_predicted_and_nothing_there_is_one():
    assert soft_dice(np.zeros((4, 5)), EMPTY) == 1.0


def test_masks_that_cannot_be_compared_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        count_pixels(EMPTY, EMPTY.T)
    with pytest.raises(ValueError, match="bool"):
        count_pixels(EMPTY.astype(np.uint8), EMPTY)
    with pytest.raises(ValueError, match="one shape"):
        soft_dice(np.zeros((5, 4)), EMPTY)
