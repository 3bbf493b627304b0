"""Optimizer, learning rate, clipping, averages, and losses as values of one training, on tiny slices."""

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from mmran.errors import UserError
from mmran.training import checkpoint
from mmran.training.feasible import refuse_impossible
from tests.unit.training.trials import EXPERIMENT, Stopped, equal, experiment, only_trial, stop_after, train

EVERYTHING: dict[str, Any] = {
    "optimizer": "adamw",
    "weight_decay": 0.01,
    "learning_rate_schedule": "cosine",
    "warmup_epochs": 1,
    "gradient_clip": 0.5,
    "ema_decay": 0.9,
    "checkpoint_minutes": 0,
}


@pytest.mark.slow
def test_every_value_changes_the_weights(tiny: Path, tmp_path: Path) -> None:
    short = {"epochs": 2, "selection": "last"}
    before = train(only_trial(tiny, tmp_path, training=short))
    changes = {
        key: EVERYTHING[key] for key in ("learning_rate_schedule", "warmup_epochs", "gradient_clip", "ema_decay")
    }
    # With no weight decay, AdamW is Adam, bit by bit.
    for key, value in {**changes, "weight_decay": 0.01, "optimizer": "sgd"}.items():
        assert not equal(train(only_trial(tiny, tmp_path, training={**short, key: value})), before), key


@pytest.mark.slow
@pytest.mark.parametrize("selection", ["best", "last"])
def test_interrupted_with_every_value_set_it_ends_in_the_same_bits(tiny: Path, tmp_path: Path, selection: str) -> None:
    values = {**EVERYTHING, "selection": selection}
    whole = train(only_trial(tiny, tmp_path / "whole", training=values))
    found = only_trial(tiny, tmp_path / "parts", training=values)
    for epoch in range(3):
        with pytest.raises(Stopped):
            train(found, on_epoch=stop_after(epoch))
    assert equal(train(found), whole)


@pytest.mark.slow
def test_the_averaged_weights_are_evaluated_and_in_the_checkpoint(tiny: Path, tmp_path: Path) -> None:
    found = only_trial(tiny, tmp_path, training={"epochs": 2, "selection": "last", "ema_decay": 0.9})
    with pytest.raises(Stopped):
        train(found, on_epoch=stop_after(1))
    saved = checkpoint.read(found.folder / "latest.ckpt")
    weights = train(found)
    assert equal(weights, saved["average"]["weights"])
    assert not equal(weights, saved["network"])


@pytest.mark.slow
def test_history_has_the_learning_rate_where_it_changes(tiny: Path, tmp_path: Path) -> None:
    found = only_trial(tiny, tmp_path, training={"epochs": 2, "learning_rate_schedule": "cosine"})
    train(found)
    assert pd.read_csv(found.folder / "history.csv")["learning_rate"].tolist() == pytest.approx([0.001, 0.0005])


@pytest.mark.parametrize(
    ("key", "value"),
    [("weight_decay", -1.0), ("warmup_epochs", 3), ("gradient_clip", 0.0), ("ema_decay", 1.0), ("optimizer", "adma")],
)
def test_a_value_out_of_range_is_refused_before_the_first_job(key: str, value: Any) -> None:
    with pytest.raises(UserError, match=rf"training\.{key}: .*{value}"):
        refuse_impossible(experiment(training={key: value}))


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "code" / "mylosses.py"
    path.parent.mkdir()
    path.write_text(
        "def squares(mask_logits, masks):\n    return (mask_logits.sigmoid() - masks).square().mean()\n\n"
        "def plain(class_logits, labels):\n    import torch\n"
        "    return torch.nn.functional.cross_entropy(class_logits, labels)\n\n"
        "def half(epoch, epochs):\n    return 0.5\n\n"
        "def noisy(images, masks, generator):\n    import torch\n"
        "    return images + torch.rand(images.shape, generator=generator), masks\n\n"
        "def cropped(images, masks, generator):\n    return images[..., 1:], masks[..., 1:]\n"
    )
    monkeypatch.syspath_prepend(str(path.parent))
    yield path
    sys.modules.pop("mylosses", None)


@pytest.mark.slow
def test_losses_and_task_weights_from_outside_train(tiny: Path, tmp_path: Path, outside: Path) -> None:
    losses = {"segmentation": "mylosses:squares", "classification": "mylosses:plain"}
    found = only_trial(tiny, tmp_path, training={"epochs": 1}, loss=losses, schedule={"name": "mylosses:half"})
    train(found)
    row = pd.read_csv(found.folder / "history.csv").iloc[0]
    assert row["alpha"] == 0.5
    assert row["loss"] == pytest.approx((row["segmentation_loss"] + row["classification_loss"]) / 2, rel=1e-4)


@pytest.mark.slow
def test_a_transform_from_outside_changes_the_weights_and_survives_an_interruption(
    tiny: Path, tmp_path: Path, outside: Path
) -> None:
    short = {"epochs": 2, "selection": "last", "checkpoint_minutes": 0}
    extra = {"extra": ["mylosses:noisy"]}
    whole = train(only_trial(tiny, tmp_path / "whole", training=short, augmentation=extra))
    assert not equal(whole, train(only_trial(tiny, tmp_path / "whole", training=short)))
    found = only_trial(tiny, tmp_path / "parts", training=short, augmentation=extra)
    with pytest.raises(Stopped):
        train(found, on_epoch=stop_after(0))
    assert equal(train(found), whole)


@pytest.mark.parametrize(
    ("name", "message"),
    [("mylosses:cropped", "returns images of"), ("mylosses:absent", "has no function 'absent'")],
)
def test_a_transform_that_does_not_fit_is_refused_before_the_first_job(outside: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=rf"augmentation\.extra: .*{message}"):
        refuse_impossible(experiment(augmentation={"extra": [name]}))


def test_a_transform_from_outside_is_among_the_code_that_decides() -> None:
    assert "mylosses:noisy" in experiment(augmentation={"extra": ["mylosses:noisy"]}).outside


def test_a_recipe_with_its_own_losses_refuses_one_from_outside(outside: Path) -> None:
    values = json.loads(json.dumps(EXPERIMENT))
    values["network"] = {"name": "rv-gan", "width": 0.0625}
    values["loss"]["segmentation"] = "mylosses:squares"
    from mmran.config.experiment import Experiment

    with pytest.raises(UserError, match=r"loss\.segmentation: network rv-gan has its own segmentation loss"):
        refuse_impossible(Experiment.from_values(values))


def test_torch_is_left_without_gradients_of_the_average() -> None:
    from mmran.training.average import WeightAverage

    layer = torch.nn.Linear(1, 1)
    average = WeightAverage(layer, 0.5)
    average.update(layer)
    assert not any(value.requires_grad for value in average.weights.values())
