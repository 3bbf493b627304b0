"""Y-Net's two stages: which loss, who moves, and exact continuation from either."""

from typing import Any

import pytest
import torch

from mmran.training.losses import dice_loss, focal_loss
from mmran.training.recipe import Stage
from mmran.training.staged import Staged
from tests.unit.training.recipe_loop import disc_batches, epochs, experiment, make

pytestmark = pytest.mark.slow

BATCH = disc_batches(batch_size=4)[0]


def staged(n_epochs: int = 4, seed: int = 0) -> Staged:
    return make(experiment("y-net", epochs=n_epochs, learning_rate=3e-3), Staged, seed)


@pytest.mark.parametrize(("n_epochs", "alone", "joint"), [(240, 120, 120), (5, 2, 3)])
def test_each_stage_has_half_of_the_epochs(n_epochs, alone, joint):
    assert staged(n_epochs).stages() == (Stage("segmentation", alone), Stage("joint", joint))


def test_first_stage_is_the_dice_loss_and_nothing_of_classes():
    recipe = staged()
    first, _ = recipe.stages()
    recipe.begin(first)
    expected = dice_loss(recipe.network(BATCH.images).mask_logits, BATCH.masks)
    losses = recipe.step(BATCH, first, 0)
    assert list(losses) == ["loss", "dice_loss"]
    torch.testing.assert_close(losses["loss"], expected.detach())
    assert recipe.values(first, 1) == {}


def test_second_stage_is_the_compound_loss_under_its_own_schedule():
    recipe = staged(n_epochs=8)
    _, second = recipe.stages()
    recipe.begin(second)
    with torch.no_grad():
        output = recipe.network(BATCH.images)
    losses = recipe.step(BATCH, second, 1)
    # Dynamic weights over the stage's four epochs: alpha is 0, 1/4, 1/2, 3/4.
    assert recipe.values(second, 1) == {"alpha": 0.25}
    dice, focal = dice_loss(output.mask_logits, BATCH.masks), focal_loss(output.class_logits, BATCH.labels)
    torch.testing.assert_close(losses["loss"], 0.75 * dice + 0.25 * focal)
    assert list(losses) == ["loss", "dice_loss", "focal_loss"]


def test_diagnosis_neither_moves_nor_collects_statistics_until_its_stage():
    recipe = staged()
    batches = [BATCH]
    start = {name: value.clone() for name, value in recipe.network.state_dict().items()}
    first, second, third, fourth = epochs(recipe, batches)

    def changed(before, after):
        return {name for name in before if not torch.equal(before[name], after[name])}

    start.pop("segmentation.tumor_offset")  # the prior of the masks: training leaves it alone
    segmentation = {name for name in start if name.startswith("segmentation.")}
    assert changed(start, first["network"]) == segmentation
    assert changed(start, second["network"]) == segmentation
    # At alpha 0 the class loss moves nothing yet, but the branch is in use: its statistics move.
    statistics = {name for name in start if name.rpartition(".")[2].startswith(("running", "num"))}
    assert changed(second["network"], third["network"]) - segmentation == statistics - segmentation
    assert changed(third["network"], fourth["network"]) == set(start)


def test_second_stage_starts_from_the_weights_of_the_first_with_a_fresh_adam():
    recipe = staged()
    first, second = recipe.stages()
    recipe.begin(first)
    recipe.step(BATCH, first, 0)
    before = {name: value.clone() for name, value in recipe.network.state_dict().items()}
    recipe.begin(second)
    torch.testing.assert_close(dict(recipe.network.state_dict()), before, rtol=0, atol=0)
    (optimizer,) = recipe.optimizers.values()
    assert len(optimizer.state) == 0
    assert sum(p.numel() for p in optimizer.param_groups[0]["params"]) == sum(
        p.numel() for p in recipe.network.parameters()
    )


def test_a_few_epochs_lower_the_losses_of_both_stages():
    recipe = staged(n_epochs=24)
    rows = [snapshot["losses"][0] for snapshot in epochs(recipe, [BATCH])]
    assert rows[11]["dice_loss"] < 0.8 * rows[0]["dice_loss"]
    assert rows[23]["focal_loss"] < 0.8 * rows[12]["focal_loss"]


@pytest.fixture(scope="module")
def uninterrupted() -> list[dict[str, Any]]:
    return list(epochs(staged(), [BATCH]))


@pytest.mark.parametrize("interrupted_after", [0, 1, 2])
def test_continued_after_any_epoch_of_either_stage_it_ends_in_the_same_bits(uninterrupted, interrupted_after):
    places = [(snapshot["stage"], snapshot["epoch"]) for snapshot in uninterrupted]
    assert places == [(0, 0), (0, 1), (1, 0), (1, 1)]
    rest = list(epochs(staged(seed=9), [BATCH], uninterrupted[interrupted_after]))
    torch.testing.assert_close(rest[-1], uninterrupted[-1], rtol=0, atol=0)
