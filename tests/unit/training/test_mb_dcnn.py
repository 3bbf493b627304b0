"""MB-DCNN: its losses, what each stage trains, what is handed on, and resuming in any stage."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mmran.config.experiment import Experiment
from mmran.data.batches import Batch, ResidentSlices
from mmran.errors import UserError
from mmran.networks import build
from mmran.training.checkpoint import CheckpointFolder
from mmran.training.device import Compute
from mmran.training.engine import train
from mmran.training.history import HistoryRow
from mmran.training.mb_dcnn import CLASSIFICATION, COARSE, ENHANCED, Bootstrapping, rank_loss, segmentation_losses
from mmran.training.recipe import make_recipe
from tests.paper import DEFAULTS

pytestmark = pytest.mark.slow

PARTS = {COARSE: "coarse.", CLASSIFICATION: "classifier.", ENHANCED: "enhanced."}
COMPUTE = Compute(torch.device("cpu"), torch.float32, threads=1)


def experiment(width: float = 1 / 64, backbone: str = "xception", **training: Any) -> Experiment:
    return Experiment.from_values(
        {
            "name": "tiny",
            "network": {"name": "mb-dcnn", "width": width, "backbone": backbone},
            "input": {"size": 32, "fit": "pad", "percentiles": [1, 99]},
            "augmentation": DEFAULTS["augmentation"],
            "loss": DEFAULTS["loss"],
            "schedule": {"name": "dynamic"},
            "training": DEFAULTS["training"]
            | {
                "epochs": 3,
                "learning_rate": 0.001,
                "selection": "last",
                "batch_size": 2,
                "checkpoint_minutes": 0,
            }
            | training,
            "seeds": [1029],
        }
    )


def recipe(**options: Any) -> Bootstrapping:
    torch.manual_seed(0)
    made = make_recipe(experiment(**options), COMPUTE)
    assert isinstance(made, Bootstrapping)
    return made


def stage_of(made: Bootstrapping, name: str) -> Any:
    return next(stage for stage in made.stages() if stage.name == name)


def batch_of(n: int) -> Batch:
    """A bright square per image, its place by the class."""
    images, masks = (
        0.1 * torch.rand(n, 1, 32, 32, generator=torch.Generator().manual_seed(0)),
        torch.zeros(n, 1, 32, 32),
    )
    labels = torch.arange(n) % 3
    for i, label in enumerate(labels.tolist()):
        masks[i, :, 8 * label : 8 * label + 10, 8:20] = 1
    return Batch(images + 0.8 * masks, masks, labels)


def state(made: Bootstrapping) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in made.network.state_dict().items()}


def logits(probabilities: list[float]) -> Tensor:
    return torch.tensor(probabilities).logit().view(1, 1, 1, -1)


def mask(values: list[int]) -> Tensor:
    return torch.tensor(values).float().view(1, 1, 1, -1)


def test_rank_loss_is_the_mean_over_pairs_of_the_hardest_pixels():
    # Tumor .9 .4 (.95 is easier), background .6 .1 (.05 is easier). q - p + .3 for the pairs:
    # .6 - .9 -> 0, .6 - .4 -> .5, .1 - .9 -> -.5, .1 - .4 -> 0. Clipped at 0, mean: .5 / 4.
    loss = rank_loss(logits([0.9, 0.95, 0.4, 0.05, 0.6, 0.1]), mask([1, 1, 1, 0, 0, 0]), hardest=2)
    assert loss.item() == pytest.approx(0.125, abs=1e-6)


def test_rank_loss_takes_perfect_pixels_for_those_that_a_class_lacks():
    # One tumor pixel of .4, then 1; background .6 .5: .5 + .4 + max(0, -.1) + 0 over four pairs.
    loss = rank_loss(logits([0.4, 0.6, 0.5, 0.1]), mask([1, 0, 0, 0]), hardest=2)
    assert loss.item() == pytest.approx(0.225, abs=1e-6)


def test_rank_loss_has_no_gradient_to_easier_pixels():
    values = logits([0.9, 0.4, 0.6, 0.1]).requires_grad_()
    rank_loss(values, mask([1, 1, 0, 0]), hardest=1).backward()
    assert (values.grad.flatten() != 0).tolist() == [False, True, True, False]


def test_segmentation_loss_is_dice_of_both_classes_and_a_twentieth_of_rank():
    losses = segmentation_losses(torch.zeros(1, 1, 2, 2), torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]]))
    # p = .5 in 4 pixels, 1 of them tumor. Tumor: 1 - 2 x .5 / (2 + 1); background: 1 - 2 x 1.5 / (2 + 3).
    assert losses["dice_loss"].item() == pytest.approx((2 / 3 + 2 / 5) / 2, abs=1e-5)
    # p = .5 1 1 1 and q = .5 .5 .5 0: three pairs of .5 - .5 + .3 in sixteen, the others 0.
    assert losses["rank_loss"].item() == pytest.approx(3 * 0.3 / 16, abs=1e-6)
    assert next(iter(losses)) == "loss"
    assert losses["loss"].item() == pytest.approx(8 / 15 + 0.05 * 0.05625, abs=1e-5)


def test_activation_map_is_the_evidence_of_the_predicted_class_over_its_maximum():
    classifier = build("mb-dcnn", width=1e-3).classifier  # 4 maps
    maps = torch.tensor([[[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])[:, :, None].repeat(1, 2, 1, 1)
    with torch.no_grad():
        classifier.class_head.weight.copy_(torch.tensor([[2.0, -1.0, 0.0, 0.0], [-3.0, -1.0, 0.0, 0.0], [9.0] * 4]))
        found = classifier.activation_map(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), maps)
    # First image, class 0: 2 x 2 and -1 x 1, by 4. Second, class 1: -3 and -1, no maximum above 0, so by 3.
    torch.testing.assert_close(found.flatten(1), torch.tensor([[1.0, -0.25], [-1.0, -1 / 3]]))


@pytest.mark.parametrize(("epochs", "thirds"), [(240, [80, 80, 80]), (5, [2, 2, 1]), (4, [2, 1, 1])])
def test_epochs_are_split_in_thirds(epochs, thirds):
    assert [stage.epochs for stage in recipe(epochs=epochs).stages()] == thirds


def test_fewer_epochs_than_stages_are_refused():
    with pytest.raises(UserError, match=r"training\.epochs: 2 is too few for mb-dcnn"):
        recipe(epochs=2).stages()


def test_learning_rate_decays_in_each_stage_and_is_half_in_the_last():
    made = recipe(epochs=240, learning_rate=1e-4)
    rates = [made.learning_rate(stage, epoch) for stage in made.stages() for epoch in (0, 40)]
    # Half way through a stage: .5^.9 = .53589.
    assert rates == pytest.approx([1e-4, 0.53589e-4, 1e-4, 0.53589e-4, 5e-5, 0.53589 * 5e-5], rel=1e-4)


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("autocast", [contextlib.nullcontext, lambda: torch.autocast("cpu", dtype=torch.bfloat16)])
def test_a_stage_moves_every_parameter_of_its_network_and_nothing_else(name, autocast):
    made = recipe()
    made.autocast = autocast
    stage = stage_of(made, name)
    made.begin(stage)
    made.network.train()
    before = state(made)
    made.step(batch_of(3), stage, 0)
    after = state(made)
    moved = {key for key in after if not torch.equal(before[key], after[key])}
    assert {key for key in moved if not key.startswith(PARTS[name])} == set()
    still = {key for key, _ in made.network.named_parameters() if key.startswith(PARTS[name])} - moved
    # A bias that a batch normalization follows has a gradient of rounding errors, and the statistics move anyway.
    assert {key for key in still if not key.endswith("bias")} == set()
    assert {key for key in after if key.startswith(PARTS[name]) and key.endswith("running_mean")} <= moved


def test_the_step_follows_the_learning_rate_of_the_epoch():
    made = recipe(epochs=6)
    stage = stage_of(made, ENHANCED)
    made.begin(stage)
    made.begin_epoch(stage, 1)
    made.step(batch_of(2), stage, 1)
    (group,) = made.optimizers["network"].param_groups
    assert group["lr"] == pytest.approx(0.0005 * 0.5**0.9)


def test_the_schedule_multiplies_the_decay_of_the_stages():
    made = recipe(epochs=6, learning_rate_schedule="cosine")
    stage = stage_of(made, ENHANCED)
    # of two epochs, the second: half of the half, by its own decay; cos(pi / 2) = 0 halves it again
    assert made.learning_rate(stage, 1) == pytest.approx(0.0005 * 0.5**0.9 * 0.5)


def test_the_last_stage_begins_with_the_weights_of_the_coarse_network():
    made = recipe()
    before = state(made)
    made.begin(stage_of(made, ENHANCED))
    after = state(made)
    for key, value in after.items():
        if key.startswith("enhanced.guide."):
            assert torch.equal(value, before[key])
        elif key.startswith("enhanced."):
            assert torch.equal(value, before[key.replace("enhanced.", "coarse.", 1)])
        else:
            assert torch.equal(value, before[key])


def test_other_stages_hand_nothing_on():
    made = recipe()
    before = state(made)
    for name in (COARSE, CLASSIFICATION):
        made.begin(stage_of(made, name))
    assert all(torch.equal(value, before[key]) for key, value in state(made).items())


@pytest.mark.parametrize("name", PARTS)
def test_a_few_steps_lower_the_loss_of_the_stage(name):
    made = recipe(width=1 / 16, learning_rate=0.006)
    stage = stage_of(made, name)
    made.begin(stage)
    made.network.train()
    losses = [made.step(batch_of(6), stage, 0)["loss"].item() for _ in range(12)]
    assert max(losses[-3:]) < 0.85 * losses[0]


def test_a_batch_of_one_slice_is_trained_on_in_every_stage():
    made = recipe()
    for stage in made.stages():
        made.begin(stage)
        made.network.train()
        assert made.step(batch_of(1), stage, 0)["loss"].isfinite()


def test_prediction_is_the_whole_sequence():
    made = recipe()
    network, images = made.network.eval(), batch_of(2).images
    output = made.predict(images)
    with torch.no_grad():
        class_logits, maps = network.classify(images, network.coarse_mask(images))
        mask_logits = network.enhanced_mask_logits(images, network.classifier.activation_map(class_logits, maps))
    torch.testing.assert_close((output.mask_logits, output.class_logits), (mask_logits, class_logits), rtol=0, atol=0)


class Stopped(Exception):
    """Stands for a process that is killed."""


def slices(n: int) -> ResidentSlices:
    images, masks, labels = batch_of(n)
    return ResidentSlices(images, masks[:, 0].byte(), labels, torch.arange(n), torch.zeros(n, 1), torch.ones(n, 1))


def trained(folder: Path, stop_after: int | None = None) -> tuple[dict[str, Tensor], list[HistoryRow]]:
    """Final weights and history of a training, ended early after an epoch if asked."""

    def stop(row: HistoryRow) -> None:
        if row.epoch == stop_after:
            raise Stopped

    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    made, end = train(
        experiment(backbone="resnet50", epochs=6),  # the faster one
        seed=3,
        training=slices(4),
        validation=slices(3),
        compute=COMPUTE,
        folder=CheckpointFolder(folder, "digest"),
        log=lambda line: None,
        on_epoch=stop,
    )
    return made.network.state_dict(), end.history


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("uninterrupted"))


# Two epochs a stage: 2 and 4 are in the middle of one, 1 and 3 at its end.
@pytest.mark.parametrize("epochs", [[1], [2], [3], [4], [0, 1, 2, 3, 4, 5]])
def test_interrupted_in_any_stage_it_ends_in_the_same_bits(tmp_path, uninterrupted, epochs):
    for epoch in epochs:
        with pytest.raises(Stopped):
            trained(tmp_path, stop_after=epoch)
    weights, history = trained(tmp_path)
    assert [row.stage for row in history] == [COARSE, COARSE, CLASSIFICATION, CLASSIFICATION, ENHANCED, ENHANCED]
    assert [row.losses for row in history] == [row.losses for row in uninterrupted[1]]
    assert all(torch.equal(value, uninterrupted[0][key]) for key, value in weights.items())


def test_history_names_the_losses_of_each_stage(uninterrupted):
    losses = [set(row.losses) for row in uninterrupted[1][::2]]
    segmentation = {"loss", "dice_loss", "rank_loss"}
    assert losses == [segmentation, {"loss", "focal_loss"}, segmentation]
