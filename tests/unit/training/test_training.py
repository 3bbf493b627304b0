"""The training loop: exact resume, selection of the epoch, refusal of what is not a number."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from mmran.errors import UserError
from mmran.training import checkpoint, engine, run
from mmran.training.device import Compute
from mmran.training.trial import plan_trials
from tests.unit.training.trials import Stopped, equal, experiment, only_trial, stop_after, train

pytestmark = pytest.mark.slow


def test_another_seed_gives_other_weights(tiny: Path, tmp_path: Path) -> None:
    first, second = (train(only_trial(tiny, tmp_path, seeds=[seed], training={"epochs": 1})) for seed in (1, 2))
    assert not equal(first, second)


def test_a_trial_that_has_ended_is_not_trained_again(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = only_trial(tiny, tmp_path)
    weights = train(found)
    monkeypatch.setattr(run, "train", lambda *a, **k: pytest.fail("trained again"))
    assert equal(train(found), weights)
    # Renamed, or with another seed beside it, it is the same trial.
    renamed = only_trial(tiny, tmp_path, name="another")
    assert renamed.folder == found.folder
    assert equal(train(renamed), weights)


def test_one_training_gives_one_file_to_the_byte(tiny: Path, tmp_path: Path) -> None:
    digests = set()
    for attempt in range(4):
        found = only_trial(tiny, tmp_path / str(attempt), training={"epochs": 1})
        train(found)
        digests.add(json.loads((found.folder / "run.json").read_text())["weights_sha256"])
    assert len(digests) == 1


def test_folds_and_seeds_make_the_trials(tiny: Path, tmp_path: Path) -> None:
    trials = plan_trials(
        experiment(seeds=[1, 2]), tiny / "data" / "slices.h5", tiny / "splits" / "patient.csv", tmp_path
    )
    assert [found.name for found in trials] == [f"seed{seed}-fold{fold}" for fold in range(5) for seed in (1, 2)]
    assert len({found.digest for found in trials}) == 10


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_the_checkpoint(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = only_trial(tiny, tmp_path)
    with pytest.raises(Stopped):
        train(found, on_epoch=stop_after(0))
    checkpoint = (found.folder / "latest.ckpt").read_bytes()
    recipe = "mmran.training.multitask.Multitask._losses"
    monkeypatch.setattr(recipe, lambda self, output, *a: {"loss": output.class_logits.sum() * float("nan")})
    with pytest.raises(UserError, match=r"epoch 2: loss is nan; the last good checkpoint is kept"):
        train(found)
    assert (found.folder / "latest.ckpt").read_bytes() == checkpoint
    assert not found.finished()


def test_a_loss_that_is_no_number_names_compilation_where_it_may_be_the_cause(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Compiling takes a minute, and tests/gpu does it.
    monkeypatch.setattr("torch.nn.Module.compile", lambda module, **options: None)
    recipe = "mmran.training.multitask.Multitask._losses"
    monkeypatch.setattr(recipe, lambda self, output, *a: {"loss": output.class_logits.sum() * float("nan")})
    for compiled, remedy in ((True, r"float32, or training\.compile: false$"), (False, r"float32$")):
        found = only_trial(tiny, tmp_path, training={"epochs": 1, "compile": compiled})
        with pytest.raises(UserError, match=remedy):
            train(found)


def test_best_keeps_the_epoch_of_the_highest_validation_score_and_last_the_last(tiny: Path, tmp_path: Path) -> None:
    best = only_trial(tiny, tmp_path, training={"epochs": 4})
    train(best)
    record = json.loads((best.folder / "run.json").read_text())
    scores = pd.read_csv(best.folder / "history.csv")["score"]
    assert record["best_epoch"] == scores.idxmax()
    assert record["best_score"] == pytest.approx(scores.max())
    last = only_trial(tiny, tmp_path, training={"epochs": 4, "selection": "last"})
    # The weights differ exactly where the last epoch is not the best.
    assert equal(train(last), train(best)) == (scores.idxmax() == 3)


def test_alpha_follows_the_schedule_in_the_history(tiny: Path, tmp_path: Path) -> None:
    found = only_trial(tiny, tmp_path, training={"epochs": 4})
    train(found)
    # Eq. 15: e / E for e = 0 .. 3.
    assert pd.read_csv(found.folder / "history.csv")["alpha"].tolist() == [0.0, 0.25, 0.5, 0.75]


def test_while_a_task_rests_its_head_does_not_move(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Freeze training over 3 epochs: segmentation, classification, both. The mask head rests in the second.
    found = only_trial(tiny, tmp_path, schedule={"name": "freeze"}, training={"epochs": 3})
    heads = []

    save = checkpoint.CheckpointFolder.save

    def note(folder: checkpoint.CheckpointFolder, values: dict[str, Any]) -> None:
        save(folder, values)
        heads.append({key: value for key, value in values["network"].items() if key.startswith("mask_head")})

    monkeypatch.setattr(checkpoint.CheckpointFolder, "save", note)
    train(found)
    assert heads[0], "the network has no mask_head"
    assert equal(heads[0], heads[1])
    assert not equal(heads[1], heads[2])


def test_a_batch_computed_in_parts_has_the_gradient_of_the_whole(tiny: Path) -> None:
    # In eval mode, where batch norm does not tie the slices of a part together.
    compute = Compute.choose(gpu=False, threads=1, precision="float32", deterministic=True, seed=0)
    slices = run.load_slices(only_trial(tiny, tiny), "train", compute.device)
    gradients = []
    for parts in (1, 3):
        torch.manual_seed(0)
        recipe = engine.make_recipe(
            experiment(training={"accumulate": parts}, schedule={"name": "fixed", "alpha": 0.5}), compute
        )
        recipe.network.eval()
        recipe.begin(recipe.stages()[0])
        batch = next(iter(engine.iterate(slices, batch_size=7, seed=0, epoch=0, augmentation=None, shuffle=False)))
        losses = recipe.step(batch, recipe.stages()[0], 0)
        gradients.append({name: p.grad.clone() for name, p in recipe.network.named_parameters() if p.grad is not None})
        gradients[-1]["loss"] = losses["loss"]
    for name in gradients[0]:
        torch.testing.assert_close(gradients[1][name], gradients[0][name], rtol=1e-3, atol=1e-6)


def test_asking_for_a_gpu_that_is_not_there_is_one_clear_line() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UserError, match="torch sees no CUDA device"):
        Compute.choose(gpu=True, threads=1, precision="auto", deterministic=True, seed=0)
