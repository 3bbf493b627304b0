"""Between two stages: which weights are handed on, what validation measures, what is compiled."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

from mmran.training import engine
from mmran.training.device import Compute
from mmran.training.validation import ValidationMetrics, validate
from tests.unit.training.trials import Stopped, equal, experiment, only_trial, stop_after, train

pytestmark = pytest.mark.slow

CPU = Compute(torch.device("cpu"), torch.float32, threads=1)


def falling(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """Make the first epoch of every stage the best one; returns the weights that each validation sees."""
    seen: list[dict[str, torch.Tensor]] = []
    stages: list[str] = []

    def measure(recipe: Any, slices: Any, stage: Any) -> ValidationMetrics:
        seen.append({key: value.clone() for key, value in recipe.network.state_dict().items()})
        stages.append(stage.name)
        return ValidationMetrics(1 / (1 + stages.count(stage.name)), None)

    monkeypatch.setattr(engine, "validate", measure)
    return seen


def handed_on(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """The weights that each stage begins with."""
    from mmran.training.staged import Staged

    found: list[dict[str, torch.Tensor]] = []
    begin = Staged.begin

    def note(recipe: Staged, stage: Any) -> None:
        found.append({key: value.clone() for key, value in recipe.network.state_dict().items()})
        begin(recipe, stage)

    monkeypatch.setattr(Staged, "begin", note)
    return found


@pytest.mark.parametrize(("selection", "epoch"), [("best", 0), ("last", 1)])
def test_a_stage_hands_on_its_best_or_its_last_epoch(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, selection: str, epoch: int
) -> None:
    seen, begun = falling(monkeypatch), handed_on(monkeypatch)
    changes = {"network": {"name": "y-net", "attention": None}}
    train(only_trial(tiny, tmp_path, training={"epochs": 4, "stage_selection": selection}, **changes))
    assert equal(begun[1], seen[epoch])
    assert not equal(seen[0], seen[1])


def test_killed_after_its_last_epoch_a_stage_still_hands_on_its_best(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = falling(monkeypatch)
    found = only_trial(tiny, tmp_path, network={"name": "y-net", "attention": None}, training={"epochs": 4})
    with pytest.raises(Stopped):
        train(found, on_epoch=stop_after(1))
    begun = handed_on(monkeypatch)
    train(found)
    # The first entry is the start of the stage that was resumed.
    assert equal(begun[-1], seen[0])


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("y-net", {"segmentation": {"val_dice"}, "joint": {"val_dice", "val_acc"}}),
        (
            "mb-dcnn",
            {
                "coarse segmentation": {"val_dice"},
                "classification": {"val_acc"},
                "enhanced segmentation": {"val_dice", "val_acc"},
            },
        ),
    ],
)
def test_a_stage_is_validated_on_the_tasks_that_it_has_trained(
    tiny: Path, tmp_path: Path, network: str, expected: dict[str, set[str]]
) -> None:
    found = only_trial(tiny, tmp_path, network={"name": network, "attention": None}, training={"epochs": 3})
    train(found)
    history = pd.read_csv(found.history_path)
    measured = {
        stage: {name for name in ("val_dice", "val_acc") if rows[name].notna().all()}
        for stage, rows in history.groupby("stage")
    }
    assert measured == expected


def test_coarse_segmentation_is_validated_by_its_own_masks() -> None:
    recipe = engine.make_recipe(experiment(network={"name": "mb-dcnn", "attention": None}), CPU)
    coarse = recipe.stages()[0]
    network: Any = recipe.network
    network.eval()
    images = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network.coarse_mask_logits(images)
    output = recipe.predict_stage(images, coarse)
    torch.testing.assert_close(output.mask_logits, expected)
    assert output.class_logits is None


@pytest.mark.parametrize("network", ["mmran", "y-net", "rv-gan", "mb-dcnn"])
def test_what_is_compiled_is_what_the_steps_of_every_stage_call(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str
) -> None:
    calls: list[str] = []

    def compile_(module: nn.Module, **options: Any) -> None:
        # A backward pass that looks for a maximum must find it as the forward pass rounded it.
        assert options == {"dynamic": False, "options": {"emulate_precision_casts": True}}
        forward = module.forward
        module.forward = lambda *inputs: (calls.append(type(module).__name__), forward(*inputs))[1]  # type: ignore[method-assign]

    monkeypatch.setattr(nn.Module, "compile", compile_)
    by_epoch = []
    changes = {"network": {"name": network, "attention": None}, "training": {"epochs": 3, "compile": True}}
    monkeypatch.setattr(engine, "validate", lambda *a: (calls.clear(), ValidationMetrics(0.5, None))[1])
    epoch = engine._Loop._train_epoch

    def note(loop: Any, *arguments: Any) -> Any:
        losses = epoch(loop, *arguments)
        by_epoch.append(set(calls))
        return losses

    monkeypatch.setattr(engine._Loop, "_train_epoch", note)
    train(only_trial(tiny, tmp_path, **changes))
    assert len(by_epoch) == 3
    assert all(by_epoch)


def test_training_validation_and_prediction_lay_images_out_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = engine.make_recipe(experiment(network={"attention": "none"}), CPU)
    images = torch.rand(2, 2, 32, 32)  # one channel would be laid out either way
    assert recipe.layout(images).is_contiguous(memory_format=torch.channels_last)
    laid_out = torch.full((2, 1, 32, 32), 0.25)
    monkeypatch.setattr(recipe, "layout", lambda images: laid_out)
    seen: list[torch.Tensor] = []
    recipe.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    recipe.predict(images)
    recipe.predict_stage(images, recipe.stages()[0])
    assert seen[0] is laid_out
    assert seen[1] is laid_out


def test_validation_measures_dice_and_accuracy_by_hand() -> None:
    """One of two masks is half right, one of two classes is right."""
    from mmran.data.batches import ResidentSlices
    from mmran.networks.output import NetworkOutput

    recipe = engine.make_recipe(experiment(network={"attention": "none"}), CPU)
    truth = torch.zeros(2, 4, 4, dtype=torch.uint8)
    truth[:, 0, :2] = 1
    said = -torch.ones(2, 1, 4, 4)
    said[0, 0, 0, 1:3] = 1  # I = 1, sizes 2 and 2: Dice .5
    said[1, 0, 0, :2] = 1  # Dice 1
    classes = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]])
    recipe.predict_stage = lambda images, stage: NetworkOutput(said, classes)  # type: ignore[method-assign]
    labels = torch.tensor([0, 2])
    slices = ResidentSlices(truth[:, None], truth, labels, torch.arange(2), torch.zeros(2, 1), torch.ones(2, 1))
    metrics = validate(recipe, slices, recipe.stages()[0])
    assert (metrics.dice, metrics.accuracy, metrics.score) == (0.75, 0.5, 0.625)
