"""Equations 11-13 on numbers worked out by hand."""

from math import log

import pytest
import torch

from mmran.networks.output import NetworkOutput
from mmran.training.device import Compute
from mmran.training.losses import compound_loss, dice_loss, focal_loss
from mmran.training.recipe import make_recipe
from tests.unit.training.trials import experiment

CERTAIN = 100.0  # a logit whose sigmoid is 1 in float32


def mask(*pixels: int) -> torch.Tensor:
    return torch.tensor(pixels, dtype=torch.float32).view(1, 1, 1, -1)


def logits(*pixels: int) -> torch.Tensor:
    return CERTAIN * (2 * mask(*pixels) - 1)


def test_dice_of_half_an_overlap():
    # I = 1, S = 2, G = 2: 1 - (2 + 1) / (4 + 1).
    assert dice_loss(logits(1, 1, 0, 0), mask(0, 1, 1, 0)).item() == pytest.approx(1 - 3 / 5)


def test_dice_uses_probabilities_not_decisions():
    # p = .75 at the tumor's one pixel, .25 beside it: I = .75, S = 1, G = 1: 1 - 2.5 / 3.
    scores = torch.tensor([log(3), -log(3)]).view(1, 1, 1, 2)
    assert dice_loss(scores, mask(1, 0)).item() == pytest.approx(1 - 2.5 / 3)


def test_dice_of_equal_masks_is_zero_also_when_both_are_empty():
    assert dice_loss(logits(1, 1, 0), mask(1, 1, 0)).item() == 0
    assert dice_loss(logits(0, 0, 0), mask(0, 0, 0)).item() == 0


def test_dice_as_printed_has_the_factor_outside():
    # Two empty masks: 1 - 2 (0 + 1) / (0 + 0 + 1). Half an overlap: 1 - 2 (1 + 1) / (4 + 1).
    assert dice_loss(logits(0, 0), mask(0, 0), reading="printed").item() == -1
    half = dice_loss(logits(1, 1, 0, 0), mask(0, 1, 1, 0), reading="printed")
    assert half.item() == pytest.approx(1 - 4 / 5)


def test_dice_is_taken_per_image_and_then_averaged():
    # Images of 1 - 3/5 and 0; pooled over the batch it would be 1 - (2 * 3 + 1) / (4 + 4 + 1) = 2/9.
    both = dice_loss(torch.cat([logits(1, 1, 0, 0)] * 2), torch.cat([mask(0, 1, 1, 0), mask(1, 1, 0, 0)]))
    assert both.item() == pytest.approx((2 / 5 + 0) / 2)


def test_dice_of_bfloat16_logits_adds_up_in_float32():
    # 512 x 512 pixels, all tumor, all certain: bfloat16 or float16 sums would stall or overflow.
    everywhere = torch.full((1, 1, 512, 512), CERTAIN, dtype=torch.bfloat16)
    loss = dice_loss(everywhere, torch.ones(1, 1, 512, 512, dtype=torch.uint8))
    assert loss.dtype == torch.float32
    assert loss.item() == 0


def test_dice_under_autocast_stays_float32():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = dice_loss(logits(1, 1, 0, 0).bfloat16(), mask(0, 1, 1, 0))
        focal = focal_loss(torch.zeros(1, 3, dtype=torch.bfloat16), torch.tensor([0]))
    assert (loss.dtype, focal.dtype) == (torch.float32, torch.float32)
    assert loss.item() == pytest.approx(1 - 3 / 5)


def test_dice_slope_points_from_background_to_tumor():
    scores = torch.zeros(1, 1, 1, 2, requires_grad=True)
    dice_loss(scores, mask(1, 0)).backward()
    # p = .5 twice, D = 3: d/dp = -2 / 3 + 2 / 9 at the tumor, 2 / 9 beside it; times p (1 - p) = .25.
    assert scores.grad.flatten().tolist() == pytest.approx([-1 / 9, 1 / 18])


def test_dice_refuses_other_shapes_and_unknown_readings():
    with pytest.raises(ValueError, match=r"\(1, 1, 1, 2\) and masks \(1, 1, 1, 3\)"):
        dice_loss(logits(1, 0), mask(1, 0, 0))
    with pytest.raises(ValueError, match="'paper' is unknown"):
        dice_loss(logits(1), mask(1), reading="paper")


def probabilities(*values: float) -> torch.Tensor:
    return torch.tensor([values]).log()


def test_focal_of_one_image():
    # p_t = .5: -.25 (1 - .5)^2 log .5.
    loss = focal_loss(probabilities(0.2, 0.5, 0.3), torch.tensor([1]))
    assert loss.item() == pytest.approx(0.25 * 0.25 * log(2))


def test_focal_is_averaged_over_the_batch():
    scores = torch.cat([probabilities(0.2, 0.5, 0.3), probabilities(0.1, 0.1, 0.8)])
    loss = focal_loss(scores, torch.tensor([1, 0]))
    assert loss.item() == pytest.approx(0.25 * (0.25 * log(2) + 0.81 * log(10)) / 2)


def test_focal_with_a_weight_per_class_takes_that_of_the_true_class():
    scores = torch.cat([probabilities(0.2, 0.5, 0.3)] * 2)
    loss = focal_loss(scores, torch.tensor([0, 1]), alpha=[0.6, 0.4, 0.0])
    assert loss.item() == pytest.approx((0.6 * 0.64 * log(5) + 0.4 * 0.25 * log(2)) / 2)


def test_focal_with_gamma_zero_is_weighted_cross_entropy():
    loss = focal_loss(probabilities(0.2, 0.5, 0.3), torch.tensor([2]), alpha=1.0, gamma=0.0)
    assert loss.item() == pytest.approx(-log(0.3))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_of_a_certain_image_is_zero_with_a_finite_slope(gamma):
    scores = torch.tensor([[CERTAIN, 0.0, 0.0]], requires_grad=True)
    loss = focal_loss(scores, torch.tensor([0]), gamma=gamma)
    loss.backward()
    assert loss.item() == 0
    assert scores.grad.isfinite().all()


def test_focal_of_a_wholly_wrong_image_is_finite():
    # log_softmax: p_t = e^-200 underflows, its logarithm does not.
    loss = focal_loss(torch.tensor([[2 * CERTAIN, 0.0, 0.0]]), torch.tensor([1]))
    assert loss.item() == pytest.approx(0.25 * 200)


def test_focal_refuses_a_list_of_another_length():
    with pytest.raises(ValueError, match="2 weights for 3 classes"):
        focal_loss(torch.zeros(1, 3), torch.tensor([0]), alpha=[0.5, 0.5])


def test_compound_loss_weighs_dice_by_one_minus_alpha():
    dice, focal = torch.tensor(0.5), torch.tensor(0.1)
    # Eq. 13: .7 * .5 + .3 * .1.
    assert compound_loss(dice, focal, 0.3).item() == pytest.approx(0.38)
    assert compound_loss(dice, focal, 0.0).item() == dice.item()
    assert compound_loss(dice, focal, 1.0).item() == focal.item()


@pytest.mark.parametrize(("alpha", "trained"), [(0.0, "dice"), (1.0, "focal")])
def test_a_task_of_weight_zero_gets_no_gradient_at_all(alpha: float, trained: str) -> None:
    heads = {name: torch.tensor(0.5, requires_grad=True) for name in ("dice", "focal")}
    compound_loss(heads["dice"], heads["focal"], alpha).backward()
    assert {name for name, head in heads.items() if head.grad is not None} == {trained}


def test_class_weights_of_an_experiment_reach_the_loss_of_its_recipe():
    settings = experiment(loss={"focal_alpha": [0.25, 0.75, 0.5]}, network={"attention": "none"})
    recipe = make_recipe(settings, Compute(torch.device("cpu"), torch.float32, threads=1))
    output = NetworkOutput(class_logits=torch.zeros(2, 3))
    losses = recipe._losses(output, torch.zeros(2, 1, 1, 1), torch.tensor([0, 1]), alpha=1.0)
    # p_t = 1/3 for both: the mean of .25 and .75, times (2/3)^2 log 3.
    assert losses["focal_loss"].item() == pytest.approx(0.5 * 4 / 9 * log(3))
