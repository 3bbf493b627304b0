"""What a training costs: measured where it can be, estimated where not."""

import dataclasses
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from mmran.config.configuration import Config
from mmran.config.experiment import ScheduleSpec
from mmran.config.load import overlay
from mmran.planning.speed import cost_of
from mmran.training.device import Compute
from mmran.training.recipe import make_recipe
from tests.unit.planning.plans import config, only, record, stand_in, trials


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
