"""The training loop: exact resume, selection of the epoch, refusal of what is not a number."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from mmran.config.experiment import Experiment
from mmran.errors import UserError
from mmran.training import checkpoint, engine, run
from mmran.training.device import Compute
from mmran.training.history import HistoryRow
from mmran.training.publish import publish
from mmran.training.trial import Trial, plan_trials

EXPERIMENT = {
    "name": "tiny",
    "network": {"name": "mmran", "width": 0.0625, "attention": "mram"},
    "input": {"size": 32, "fit": "pad", "percentiles": [1, 99]},
    "augmentation": {},
    "loss": {},
    "schedule": {"name": "dynamic"},
    "training": {"epochs": 3, "precision": "float32", "checkpoint_minutes": 0},
    "seeds": [1029],
}


def experiment(**changes: Any) -> Experiment:
    values = json.loads(json.dumps(EXPERIMENT))
    for key, value in changes.items():
        values[key] = values[key] | value if isinstance(value, dict) else value
    # None takes a key away.
    values["network"] = {key: value for key, value in values["network"].items() if value is not None}
    return Experiment.from_values(values)


def only_trial(tiny: Path, work: Path, **changes: Any) -> Trial:
    (found,) = plan_trials(experiment(**changes), tiny / "data" / "slices.h5", tiny / "splits" / "paper.csv", work)
    return found


def train(found: Trial, **options: Any) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    folder = run.run_trial(found, gpu=False, threads=1, log=lambda line: None, **options)
    # Cloned: what is loaded stands in the file until it is asked for.
    return {name: tensor.clone() for name, tensor in load_file(folder / "weights.safetensors").items()}


class Stopped(Exception):
    """Stands for a process that is killed."""


def stop_after(epoch: int) -> Callable[[HistoryRow], None]:
    def stop(row: HistoryRow) -> None:
        if row.epoch == epoch:
            raise Stopped

    return stop


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture(scope="module")
def uninterrupted(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    return train(only_trial(tiny, tmp_path_factory.mktemp("uninterrupted")))


@pytest.mark.parametrize("epochs", [[0], [1], [2], [0, 1, 2]])
def test_interrupted_and_started_again_it_ends_in_the_same_bits(
    tiny: Path, tmp_path: Path, uninterrupted: dict[str, torch.Tensor], epochs: list[int]
) -> None:
    found = only_trial(tiny, tmp_path)
    for epoch in epochs:
        with pytest.raises(Stopped):
            train(found, on_epoch=stop_after(epoch))
    assert equal(train(found), uninterrupted)
    assert pd.read_csv(found.folder / "history.csv")["epoch"].tolist() == [0, 1, 2]


def test_a_damaged_checkpoint_costs_one_epoch_and_no_bit(
    tiny: Path, tmp_path: Path, uninterrupted: dict[str, torch.Tensor]
) -> None:
    found = only_trial(tiny, tmp_path)
    with pytest.raises(Stopped):
        train(found, on_epoch=stop_after(1))
    latest = found.folder / "latest.ckpt"
    latest.write_bytes(latest.read_bytes()[:-100])
    assert equal(train(found), uninterrupted)


def test_another_seed_gives_other_weights(tiny: Path, tmp_path: Path, uninterrupted: dict[str, torch.Tensor]) -> None:
    assert not equal(train(only_trial(tiny, tmp_path, seeds=[1030])), uninterrupted)


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


def test_weights_that_were_changed_are_trained_anew(tiny: Path, tmp_path: Path) -> None:
    found = only_trial(tiny, tmp_path)
    weights = train(found)
    path = found.folder / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    assert not found.finished()
    assert equal(train(found), weights)


def test_one_training_gives_one_file_to_the_byte(tiny: Path, tmp_path: Path) -> None:
    digests = set()
    for attempt in range(4):
        found = only_trial(tiny, tmp_path / str(attempt), training={"epochs": 1})
        train(found)
        digests.add(json.loads((found.folder / "run.json").read_text())["weights_sha256"])
    assert len(digests) == 1


@pytest.mark.parametrize(
    "change",
    [{"training": {"epochs": 4}}, {"network": {"attention": "se"}}, {"loss": {"focal_gamma": 1}}, {"code": {"m": "1"}}],
)
def test_what_decides_the_weights_decides_the_digest(tiny: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    before = dataclasses.replace(only_trial(tiny, tmp_path))
    values = json.loads(before.experiment.to_json())
    for key, value in change.items():
        values[key] = values[key] | value
    after = dataclasses.replace(before, experiment=Experiment.from_values(values))
    assert after.digest != before.digest


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


def test_results_are_delivered_with_a_record_of_every_trial(tiny: Path, tmp_path: Path) -> None:
    found = only_trial(tiny, tmp_path / "work")
    train(found)
    publish([found], "{}", tmp_path / "out")
    (record,) = json.loads((tmp_path / "out" / "runs.json").read_text())
    assert record["trial"] == "seed1029-fold0"
    assert record["digest"] == found.digest
    assert record["epochs"] == 3
    assert (tmp_path / "out" / "trials" / "seed1029-fold0" / "weights.safetensors").is_file()
    assert pd.read_csv(tmp_path / "out" / "history.csv")["fold"].tolist() == [0, 0, 0]


def test_asking_for_a_gpu_that_is_not_there_is_one_clear_line() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UserError, match="torch sees no CUDA device"):
        Compute.choose(gpu=True, threads=1, precision="auto", deterministic=True, seed=0)
