"""Training on data with other classes, without masks, or without classes, up to the summary."""

from pathlib import Path
from typing import Any

import pytest

from mmran.data.convert import convert
from mmran.data.protocol import Protocol
from mmran.data.splits import make_split
from mmran.data.store import SliceStore
from mmran.data.tasks import TASKS
from mmran.errors import UserError
from mmran.evaluation.evaluate import evaluate
from mmran.evaluation.predict import predict_trials
from mmran.evaluation.summary import Summary
from mmran.files import write_text
from mmran.networks import build
from mmran.training.history import read_history
from mmran.training.run import load_slices, run_trial
from mmran.training.trial import Trial, plan_trials
from tests.own_data import draw
from tests.unit.training.trials import experiment

BINARY = ("benign", "malignant")


def own(folder: Path, *tasks: str) -> None:
    """A store of 24 slices and a split of one fold, for some tasks."""
    columns = {"segmentation": "mask", "classification": "label"}
    source = draw(folder / "own", BINARY, without=[columns[task] for task in TASKS if task not in tasks])
    store = convert([source], folder / "data" / "slices.h5", classes=BINARY, tasks=tasks)
    protocol = Protocol.from_values(
        {"method": "slice", "fractions": [0.6, 0.2, 0.2], "seed": 1, "stratify": True, "apart": "none"}, "protocol"
    )
    write_text(folder / "splits" / "paper.csv", make_split(store.index, protocol).to_csv(index=False))


def trial_of(folder: Path, **changes: Any) -> Trial:
    options = {"epochs": 2, "batch_size": 4}
    changes = {"training": options, **changes}
    (found,) = plan_trials(
        experiment(**changes), folder / "data" / "slices.h5", folder / "splits" / "paper.csv", folder / "work"
    )
    return found


def measured(folder: Path, trial: Trial) -> Summary:
    """Train, predict, and evaluate a trial."""
    trained = run_trial(trial, gpu=False, threads=1, log=lambda line: None)
    place = folder / "out" / "trials" / trial.name
    place.parent.mkdir(parents=True)
    place.symlink_to(trained)
    write_text(folder / "spec.json", trial.experiment.to_json())
    predict_trials([trial], folder / "spec.json", folder / "out", folder / "p.h5", gpu=False, threads=1)
    return evaluate(folder / "p.h5", trial.store, trial.split, folder / "cases.csv", folder / "summary.json")


@pytest.mark.slow
def test_two_classes_are_trained_and_measured(tmp_path: Path) -> None:
    own(tmp_path, *TASKS)
    trial = trial_of(tmp_path, network={"n_classes": 2})
    values = measured(tmp_path, trial).variants["raw"]
    assert values["acc"] is not None
    assert values["dice"] is not None
    assert {"auc_benign", "auc_malignant"} <= values.keys()


@pytest.mark.slow
@pytest.mark.parametrize("network", ["mmran", "y-net", "chen"])
@pytest.mark.parametrize("task", ["segmentation", "classification"])
def test_the_task_that_the_data_have_is_trained_alone(tmp_path: Path, network: str, task: str) -> None:
    own(tmp_path, task)
    classes = {} if task == "segmentation" else {"n_classes": 2}
    trial = trial_of(tmp_path, network={"name": network, "attention": None, "tasks": [task], **classes})
    summary = measured(tmp_path, trial)
    assert next(iter(summary.variants)) == "raw"
    values = summary.variants["raw"]
    assert (values["dice"] is not None) == (task == "segmentation")
    assert (values["acc"] is not None) == (task == "classification")
    for row in read_history(trial.history_path):
        assert set(row.losses) == {"loss", "dice_loss" if task == "segmentation" else "focal_loss"}
        assert "alpha" not in row.values
        assert (row.val_dice is None) == (task == "classification")
        assert (row.val_acc is None) == (task == "segmentation")


def test_slices_without_what_a_network_learns_are_refused_in_one_line(tmp_path: Path) -> None:
    own(tmp_path, "classification")
    with pytest.raises(UserError, match=r"has no data for segmentation, which tiny learns; set data\.tasks to"):
        load_slices(trial_of(tmp_path, network={"n_classes": 2}), "train", "cpu")


def test_slices_of_another_number_of_classes_are_refused_in_one_line(tmp_path: Path) -> None:
    own(tmp_path, *TASKS)
    assert SliceStore(tmp_path / "data" / "slices.h5").classes == BINARY
    with pytest.raises(UserError, match="has the classes benign, malignant, but tiny predicts 3"):
        load_slices(trial_of(tmp_path), "train", "cpu")


@pytest.mark.parametrize("task", ["segmentation", "classification"])
def test_a_network_of_fewer_tasks_has_the_outputs_of_these_alone(task: str) -> None:
    import torch

    network = build("mmran", width=1 / 16, tasks=[task]).eval()
    assert network.tasks == (task,)
    output = network(torch.rand(1, 1, 32, 32))
    assert (output.mask_logits is not None) == (task == "segmentation")
    assert (output.class_logits is not None) == (task == "classification")
    assert build("mmran", width=1 / 16).tasks == TASKS
