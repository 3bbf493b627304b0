"""What a run will cost: counted, measured where it can be, estimated where not, and never run."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from mmran.config.configuration import Config
from mmran.config.experiment import Experiment, ScheduleSpec
from mmran.config.load import load, overlay
from mmran.data.batches import Batch
from mmran.errors import UserError
from mmran.files import write_json, write_text
from mmran.planning import train_jobs
from mmran.planning.slices import Slices, count_slices
from mmran.planning.speed import cost_of
from mmran.planning.train_jobs import TrainJob, plan
from mmran.training.checkpoint import CheckpointFolder
from mmran.training.device import Compute
from mmran.training.engine import make_recipe
from mmran.training.trial import Trial, plan_trials

ROOT = Path(__file__).resolve().parents[3]


def config(results: Path, **changes: Any) -> Config:
    """The paper's with one experiment, on GPUs."""
    rows = [{"label": "MMRAN", "experiment": "mmran"}]
    table = {"title": "One", "kind": "metrics", "metrics": ["dice"], "rows": rows}
    values = load([ROOT / "config.yaml"])
    values["tables"], values["figures"] = {"table2": table}, {}
    defaults = {"defaults": {"resources": {"gpus": 1}, "network": {"width": 0.25}, "input": {"size": 64}}}
    return Config.checked(overlay(overlay(values, defaults), {"results": str(results), "source": "cheng", **changes}))


def only(found: Config, *measured: Path, tflops: float | None = None) -> TrainJob:
    (training,) = plan(found, measured, tflops, lambda name: None)
    return training


def record(folder: Path, experiment: Experiment, **changes: Any) -> Path:
    """A training of another run, as it is recorded."""
    path = folder / "experiments" / experiment.name / "paper"
    run = {"device": "cuda", "device_name": "a GPU", "threads": 2, "images_per_s": 500.0, "peak_memory_mb": 1234.0}
    run |= {"seconds": 7200.0, "epochs": experiment.training.epochs, "data": "", "split": "", "precision": "float32"}
    run |= {"digest": "", "experiment": experiment.name, "seed": 1, "fold": 0, "evaluated": "best", "accumulate": 1}
    run |= {"best_epoch": 0, "best_score": 0.5, "weights_sha256": "", "history_sha256": ""}
    write_json(path / "runs.json", [run | changes])
    (path / "spec.json").write_text(experiment.to_json())
    return folder


# Slices


def test_slices_are_those_of_the_published_set_until_there_are_some(tmp_path: Path, tiny: Path) -> None:
    # 8:1:1 of 3064 is 2451.2, 306.4 and 306.4.
    assert count_slices(config(tmp_path), "paper") == Slices(2451, 306, 306, 1, "the published data set")
    # Three of five folds train, one validates, one tests.
    fifths = Slices(1838, 613, 613, 5, "the published data set")
    assert count_slices(config(tmp_path), "patient") == fifths
    undeclared = config(tmp_path, protocols={"published": {"method": "cvind", "apart": "pid"}})
    assert count_slices(undeclared, "published") == fifths
    found = count_slices(config(tiny), "paper")
    assert (found.train, found.val, found.test, found.folds) == (62, 8, 8, 1)


def test_the_phantoms_slices_are_counted_without_drawing_them(tmp_path: Path, tiny: Path) -> None:
    phantom = {"data": {"phantom": {"patients": 15, "size": 32, "seed": 3}}, "source": "phantom"}
    slices = count_slices(config(tmp_path, **phantom), "paper")
    assert sum((slices.train, slices.val, slices.test)) == pytest.approx(78, abs=1)


def test_a_csv_of_ones_own_is_counted_before_it_is_a_split(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    protocols = {"mine": {"method": "file", "apart": "none", "path": str(path)}}
    found = config(tmp_path, protocols=protocols)
    with pytest.raises(UserError, match=r"mine\.csv: not a readable split .* expected a csv with columns"):
        count_slices(found, "mine")
    path.write_text("slice,fold,role\n1,0,train\n2,0,train\n3,0,val\n4,0,test\n")
    assert count_slices(found, "mine") == Slices(2, 1, 1, 1, str(path))


# Speeds


def test_an_estimate_is_operations_over_the_rate(tmp_path: Path) -> None:
    found = config(tmp_path)
    training, cost = only(found, tflops=1.0), cost_of(found.resolve("mmran"))
    # 2451 slices three times as dear as each of the 306 that are only looked at, 240 epochs; at a quarter of the
    # width half of the rate.
    assert training.hours == pytest.approx(240 * (3 * 2451 + 306) * cost.forward / 0.5e12 / 3600)
    assert (training.basis, training.trials, training.finished) == ("estimate", 1, 0)
    assert training.device_hours == training.hours


def test_threads_of_a_processor_work_together_and_a_gpu_counts_once(tmp_path: Path) -> None:
    on_cpu = [config(tmp_path, defaults={"resources": {"gpus": 0, "threads": n}}) for n in (1, 4)]
    one, four = (only(found, tflops=1.0) for found in on_cpu)
    assert one.hours == pytest.approx(4 * four.hours)
    assert one.device_hours == pytest.approx(four.device_hours)
    assert only(config(tmp_path), tflops=1.0).hours == pytest.approx(one.hours)


def test_a_network_from_outside_the_package_is_estimated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "minenet.py").write_text(
        "from torch import nn\n"
        "from mmran.networks.output import NetworkOutput\n"
        "class Mine(nn.Module):\n"
        "    stride, tasks, recipe = 1, ('segmentation',), 'mmran.training.multitask:Multitask'\n"
        "    def __init__(self, *, width=1.0):\n"
        "        super().__init__()\n"
        "        self.head = nn.Conv2d(1, 1, 3, padding=1, bias=False)\n"
        "    def forward(self, images):\n"
        "        return NetworkOutput(mask_logits=self.head(images))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    experiments = {"mmran": {"network": {"name": "mine", "width": 1.0}}}
    values = overlay(config(tmp_path).values, {"networks": {"mine": "minenet:Mine"}})
    values["experiments"] = experiments
    del values["search"]
    training = only(Config.checked(values), tflops=1.0)
    # Nine multiplications and additions for each of 64 x 64 pixels, forward and backward three times that.
    assert training.images_per_s == pytest.approx(1e12 / (3 * 2 * 9 * 64 * 64))
    assert training.parameters == 9


def test_a_recorded_training_of_the_same_network_and_size_is_a_measurement(tmp_path: Path) -> None:
    found = config(tmp_path / "results")
    other = dataclasses.replace(found.resolve("mmran"), name="pilot", schedule=ScheduleSpec("fixed", 0.3))
    training = only(found, record(tmp_path / "pilot", other))
    assert training.hours == pytest.approx(240 * (2451 + 306 / 3) / 500 / 3600)
    assert (training.basis, training.where, training.peak_memory_mb) == ("measured", "a GPU", 1234.0)


def test_the_experiments_own_record_counts_before_a_like_one(tmp_path: Path) -> None:
    found = config(tmp_path / "results")
    own = found.resolve("mmran")
    record(tmp_path / "pilot", dataclasses.replace(own, name="another"))
    assert only(found, record(tmp_path / "pilot", own, images_per_s=250.0)).images_per_s == 250


def test_a_whole_training_on_the_same_slices_is_taken_as_long_as_it_took(tmp_path: Path, tiny: Path) -> None:
    found = config(tiny)
    (trial,) = trials(found)
    same = {"data": trial.data_digest, "split": trial.split_digest}
    assert only(found, record(tmp_path / "whole", trial.experiment, **same)).hours == 2
    # 62 slices train and 8 are looked at.
    pilot = only(found, record(tmp_path / "pilot", trial.experiment, **same, epochs=2))
    assert pilot.hours == pytest.approx(240 * (62 + 8 / 3) / 500 / 3600)


@pytest.mark.parametrize("difference", ["width", "size", "batch", "device"])
def test_other_work_is_no_measurement_of_this(tmp_path: Path, difference: str) -> None:
    found = config(tmp_path / "results")
    other = found.resolve("mmran")
    changed: dict[str, Any] = {
        "width": {"network": dataclasses.replace(other.network, width=0.5)},
        "size": {"input": dataclasses.replace(other.input, size=128)},
        "batch": {"training": dataclasses.replace(other.training, batch_size=4)},
        "device": {},
    }
    device = {"device": "cpu"} if difference == "device" else {}
    pilot = record(tmp_path / "pilot", dataclasses.replace(other, **changed[difference]), **device)
    assert only(found, pilot).basis == "estimate"


def test_another_number_of_threads_is_no_measurement_on_a_processor(tmp_path: Path) -> None:
    found = config(tmp_path / "results", defaults={"resources": {"gpus": 0, "threads": 2}})
    own = found.resolve("mmran")
    assert only(found, record(tmp_path / "two", own, device="cpu", threads=2)).basis == "measured"
    assert only(found, record(tmp_path / "one", own, device="cpu", threads=1)).basis == "estimate"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("spec.json", '{"rounds": 1}'),
        ("runs.json", '[{"seed": 1'),
        ("runs.json", "[7]"),
        ("runs.json", '[{"seed": 1}]'),
    ],
)
def test_a_record_that_is_damaged_or_of_another_version_is_passed_over(tmp_path: Path, file: str, text: str) -> None:
    found = config(tmp_path / "results")
    pilot = record(tmp_path / "pilot", found.resolve("mmran"))
    (pilot / "experiments" / "mmran" / "paper" / file).write_text(text)
    assert only(found, pilot).basis == "estimate"


# What has ended


def trials(found: Config) -> list[Trial]:
    results = found.results
    store, split = results / "data" / "slices.h5", results / "splits" / "paper.csv"
    return plan_trials(found.resolve("mmran"), store, split, results / ".work")


@pytest.fixture
def mine(tiny: Path, tmp_path: Path) -> Config:
    """One experiment over slices and a split that are there."""
    results = tmp_path / "results"
    for name in ("data", "splits"):
        shutil.copytree(tiny / name, results / name)
    return config(results)


def would_run(monkeypatch: pytest.MonkeyPatch, *jobs: str) -> None:
    """Let the records of the results say which jobs would run."""
    monkeypatch.setattr(train_jobs, "judge", lambda config: mock.Mock(would_run=lambda: list(jobs)))


def test_what_is_trained_and_evaluated_costs_nothing_even_where_its_work_folder_is_gone(
    mine: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    would_run(monkeypatch, "table/table2/paper")
    training = only(mine)
    assert (training.finished, training.left, training.device_hours, training.evaluated) == (1, 0, 0, True)


@pytest.mark.parametrize(
    ("jobs", "finished", "published"),
    [(["train/mmran/paper", "evaluate/mmran/paper"], 0, False), (["evaluate/mmran/paper"], 1, True)],
)
def test_outdated_results_are_made_again(
    mine: Config, monkeypatch: pytest.MonkeyPatch, jobs: list[str], finished: int, published: bool
) -> None:
    would_run(monkeypatch, *jobs)
    training = only(mine)
    assert (training.finished, training.published, training.evaluated) == (finished, published, False)


def test_a_trial_that_finished_under_another_name_is_found_by_its_digest(mine: Config) -> None:
    (trial,) = trials(mine)
    write_json(trial.folder / "run.json", {})
    assert only(mine).finished == 0
    write_text(trial.folder / "weights.safetensors", "")
    training = only(mine)
    # The job that publishes its results is still to come.
    assert (training.finished, training.published) == (1, False)


# Counted against what the training does


def stand_in(name: str, size: int, width: float) -> tuple[Experiment, Batch]:
    values = load([ROOT / "config.yaml"])
    defaults = {"defaults": {"input": {"size": size}, "network": {"width": width}}}
    images = torch.rand(2, 1, size, size)
    return Config.checked(overlay(values, defaults)).resolve(name), Batch(images, images.round(), torch.tensor([0, 1]))


def step_in_forward_passes(name: str) -> float:
    """Operations of a step, counted, in those of the network's forward pass."""
    with FakeTensorMode(), mock.patch.object(torch.nn.Module, "to", lambda self, *args, **kwargs: self):
        experiment, batch = stand_in(name, 128, 1.0)
        recipe = make_recipe(experiment, Compute(torch.device("cpu"), torch.float32, 1))
        with FlopCounterMode(display=False) as forward, torch.no_grad():
            recipe.network.eval()(batch.images)
        total = epochs = 0.0
        for stage in recipe.stages():
            recipe.begin(stage)
            recipe.network.train()
            with FlopCounterMode(display=False) as step:
                recipe.step(batch, stage, 0)
            total += step.get_total_flops() * stage.epochs
            epochs += stage.epochs
    return total / epochs / forward.get_total_flops()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mmran", "rv-gan", "y-net", "mb-dcnn"])
def test_the_operations_of_a_step_are_as_many_as_the_estimate_takes_them_for(name: str) -> None:
    assert cost_of(stand_in(name, 128, 1.0)[0]).passes == pytest.approx(step_in_forward_passes(name), rel=0.05)


@pytest.mark.parametrize("name", ["mmran", "rv-gan"])
def test_checkpoints_take_the_room_that_is_planned_for_them(name: str, tmp_path: Path) -> None:
    experiment, batch = stand_in(name, 32, 0.25)
    recipe = make_recipe(experiment, Compute(torch.device("cpu"), torch.float32, 1))
    (stage,) = recipe.stages()
    recipe.begin(stage)
    recipe.step(batch, stage, 0)
    folder = CheckpointFolder(tmp_path / "one", "digest")
    optimizers = {key: optimizer.state_dict() for key, optimizer in recipe.optimizers.items()}
    weights = recipe.network.state_dict()
    best = {key: value.clone() for key, value in weights.items()}
    folder.save({"network": weights, "optimizers": optimizers, "best": best})
    held = (folder.path / "latest.ckpt").stat().st_size
    rows = [{"label": name, "experiment": name}]
    table = {"title": "One", "kind": "metrics", "metrics": ["dice"], "rows": rows}
    values = overlay(load([ROOT / "config.yaml"]), {"defaults": {"network": {"width": 0.25}, "input": {"size": 32}}})
    training = only(
        Config.checked(
            values | {"tables": {"one": table}, "figures": {}, "results": str(tmp_path / "new"), "source": "cheng"}
        )
    )
    # The latest, the one before, and the one that is being written.
    assert 3 * held == pytest.approx(training.checkpoint_bytes, rel=0.02)
