"""RV-GAN's game: its losses by hand, who moves in which step, and exact continuation."""

from typing import Any

import pytest
import torch
from torch import nn

from mmran.networks.rv_gan import RVGAN
from mmran.training.adversarial import (
    GENERATED,
    REAL,
    WEIGHTS,
    Adversarial,
    feature_matching,
    hinge,
    least_squares,
)
from tests.unit.training.recipe_loop import disc_batches, epochs, experiment, make

pytestmark = pytest.mark.slow

SETTINGS = experiment("rv-gan", epochs=3, learning_rate=2e-4)


def begun(**training: float) -> Adversarial:
    recipe = make(experiment("rv-gan", **{"learning_rate": 2e-3, **training}), Adversarial)
    recipe.begin(recipe.stages()[0])
    return recipe


def step(recipe: Adversarial) -> dict[str, torch.Tensor]:
    return recipe.step(disc_batches()[0], recipe.stages()[0], 0)


def moved(recipe: Adversarial, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in recipe.network.named_parameters() if not torch.equal(value, before[name])}


def parameters(recipe: Adversarial) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in recipe.network.named_parameters()}


def test_least_squares_is_the_mean_square_distance_to_what_is_to_be_said():
    scores = torch.tensor([0.5, -1.0])
    assert least_squares(scores, REAL) == 1.125  # (1.5^2 + 0) / 2
    assert least_squares(scores, GENERATED) == 2.125  # (.5^2 + 2^2) / 2


def test_hinge_counts_what_falls_short_of_the_margin_and_nothing_beyond_it():
    # 1 - .5 falls short; -2 is on the right side of -1 by more than the margin.
    assert hinge(torch.tensor([0.5, -2.0]), torch.tensor([1.0, -1.0])) == 0.25
    # Scores towards -1: 1 + .5, and none of 1 - 2.
    assert hinge(torch.tensor([0.5, -2.0]), REAL) == 0.75


def test_feature_matching_weighs_encoder_and_decoder_by_half_each():
    zero = torch.zeros(1, 1, 2, 2)
    features = [zero + distance for distance in (1, -2, 3, 4, 6, -8)]
    assert feature_matching(features, [zero] * 6) == 0.5 * (1 + 2 + 3) + 0.5 * (4 + 6 + 8)


def test_total_is_the_weighted_sum_of_its_terms_and_comes_first():
    losses = step(begun())
    assert next(iter(losses)) == "loss"
    assert all(name.endswith("loss") and not value.requires_grad for name, value in losses.items())
    assert WEIGHTS == {
        "adversarial_loss": 1,
        "feature_loss": 1,
        "hinge_loss": 10,
        "reconstruction_loss": 10,
    }
    torch.testing.assert_close(losses["loss"], sum(WEIGHTS[name] * losses[name] for name in WEIGHTS))


def test_generators_that_say_tumor_everywhere_are_as_far_off_as_worked_out_by_hand():
    recipe = begun(learning_rate=0.0)
    for head in (recipe.network.coarse.head[-1], recipe.network.fine.head[-1]):
        nn.init.zeros_(head.weight)
        nn.init.constant_(head.bias, 100.0)  # tanh is 1
    (batch,) = disc_batches()
    batch.masks.zero_()[:, :, :16] = 1  # the upper half, at half size too
    losses = recipe.step(batch, recipe.stages()[0], 0)
    # Right on one half; on the other, 1 against -1: square 4, hinge 2. Two sizes.
    assert losses["fine_loss"] == losses["coarse_loss"] == 2
    assert losses["reconstruction_loss"] == 2 + 2
    assert losses["hinge_loss"] == 1 + 1


def test_each_optimizer_moves_its_own_networks_alone():
    recipe = begun()
    before = parameters(recipe)
    recipe.optimizers["discriminators"].param_groups[0]["lr"] = 0.0
    step(recipe)
    assert {name.partition(".")[0] for name in moved(recipe, before)} == {"coarse", "fine"}
    recipe = begun()
    before = parameters(recipe)
    for name in ("coarse", "fine", "joint"):
        recipe.optimizers[name].param_groups[0]["lr"] = 0.0
    step(recipe)
    assert {name.partition(".")[0] for name in moved(recipe, before)} == {"discriminators"}


def test_discriminators_take_two_steps_for_one_of_the_generators():
    recipe = begun()
    step(recipe)
    steps = {
        name: {int(state["step"]) for state in optimizer.state.values()}
        for name, optimizer in recipe.optimizers.items()
    }
    assert steps == {"coarse": {1}, "fine": {1}, "joint": {1}, "discriminators": {2}}


def test_a_step_reaches_every_parameter():
    recipe = begun()
    recipe.network.eval()  # a batch's own mean would cancel the bias before it
    step(recipe)
    missed = [name for name, p in recipe.network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert missed == []


def test_coarse_generator_does_not_answer_for_the_masks_of_the_fine_one():
    gradients = []
    for scale in (1.0, 3.0):
        recipe = begun()
        with torch.no_grad():
            recipe.network.fine.head[-1].weight.mul_(scale)
        recipe.optimizers["discriminators"].param_groups[0]["lr"] = 0.0
        step(recipe)
        gradients.append([p.grad for p in recipe.network.coarse.parameters()])
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


def test_parts_of_a_batch_give_the_step_of_the_whole():
    states = []
    for accumulate in (1, 2):
        recipe = begun(batch_size=2, accumulate=accumulate)
        recipe.network.eval()  # a batch's own statistics would differ from those of its parts
        # Without Adam, which makes whole steps of rounding errors.
        recipe.optimizers = {
            name: torch.optim.SGD(optimizer.param_groups[0]["params"], lr=1e-3)
            for name, optimizer in recipe.optimizers.items()
        }
        losses = step(recipe)
        states.append((losses, recipe.network.state_dict()))
    torch.testing.assert_close(*states, rtol=1e-4, atol=1e-6)


def test_a_few_rounds_bring_the_masks_nearer_to_the_true_ones():
    recipe = begun()
    rounds = [step(recipe) for _ in range(8)]
    for name in ("loss", "fine_loss", "coarse_loss"):
        assert rounds[-1][name] < 0.8 * rounds[0][name], name


def test_mask_logit_is_tumor_where_the_output_is_positive_and_its_sigmoid_the_output_in_0_to_1():
    torch.manual_seed(0)
    network = RVGAN(width=1 / 32).eval()
    images = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        full = 2 * images - 1
        half = full.reshape(1, 1, 16, 2, 16, 2).mean(dim=(3, 5))
        output = torch.tanh(network.fine(full, network.coarse(half)[1]))
        logits = network(images).mask_logits
    assert torch.equal(logits >= 0, output >= 0)
    torch.testing.assert_close(logits.sigmoid(), (output + 1) / 2)


@pytest.fixture(scope="module")
def uninterrupted() -> list[dict[str, Any]]:
    return list(epochs(make(SETTINGS, Adversarial), disc_batches()))


@pytest.mark.parametrize("interrupted_after", [0, 1])
def test_continued_after_any_epoch_it_ends_in_the_same_bits(uninterrupted, interrupted_after):
    start = uninterrupted[interrupted_after]
    rest = list(epochs(make(SETTINGS, Adversarial, seed=9), disc_batches(), start))
    assert len(uninterrupted) == 3
    torch.testing.assert_close(rest[-1], uninterrupted[-1], rtol=0, atol=0)
