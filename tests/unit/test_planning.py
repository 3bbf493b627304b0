"""What a run will cost: counted, measured where it can be, estimated where not, and never run."""

import dataclasses
import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from mmran.cli import main
from mmran.config import Config, load, overlay
from mmran.data.batches import Batch
from mmran.experiment import Experiment
from mmran.files import write_json
from mmran.planning import Slices, Training, count_slices, finish_hours, network_cost, plan
from mmran.training.device import Compute
from mmran.training.engine import make_recipe

ROOT = Path(__file__).resolve().parents[2]


def config(results: Path, **changes: Any) -> Config:
    """The paper's with one experiment, on GPUs."""
    rows = [{"label": "MMRAN", "experiment": "mmran"}]
    table = {"title": "One", "kind": "metrics", "metrics": ["dice"], "rows": rows}
    values = load([ROOT / "config.yaml"])
    values["tables"], values["figures"] = {"table2": table}, {}
    defaults = {"defaults": {"resources": {"gpus": 1}, "network": {"width": 0.125}, "input": {"size": 64}}}
    return Config.checked(overlay(overlay(values, defaults), {"results": str(results), "source": "cheng", **changes}))


def only(found: Config, *measured: Path, tflops: float | None = None) -> Training:
    (training,) = plan(found, measured, tflops, lambda name: None)
    return training


def record(folder: Path, experiment: Experiment, **changes: Any) -> Path:
    """A training of another run, as it is recorded."""
    path = folder / "experiments" / experiment.name / "paper"
    run = {"device": "cuda", "device_name": "a GPU", "images_per_s": 500.0, "peak_memory_mb": 1234.0}
    write_json(path / "runs.json", [run | changes])
    (path / "spec.json").write_text(experiment.to_json())
    return folder


def test_slices_are_those_of_the_published_set_until_there_are_some(tmp_path: Path, tiny: Path) -> None:
    # 8:1:1 of 3064 is 2451.2, 306.4 and 306.4.
    assert count_slices(config(tmp_path), "paper") == Slices(2451, 306, 306, 1, "the published data set")
    # Three of five folds train, one validates, one tests.
    assert count_slices(config(tmp_path), "patient") == Slices(1838, 613, 613, 5, "the published data set")
    found = count_slices(config(tiny), "paper")
    assert (found.train, found.val, found.test, found.folds) == (62, 8, 8, 1)


def test_the_phantoms_slices_are_counted_without_drawing_them(tmp_path: Path, tiny: Path) -> None:
    phantom = {"data": {"phantom": {"patients": 15, "size": 32, "seed": 3}}, "source": "phantom"}
    slices = count_slices(config(tmp_path, **phantom), "paper")
    assert sum((slices.train, slices.val, slices.test)) == pytest.approx(78, abs=1)


def test_an_estimate_is_operations_over_the_rate(tmp_path: Path) -> None:
    training = only(config(tmp_path), tflops=1.0)
    name, options = "mmran", json.dumps({"attention": "mram", "width": 0.125})
    _, operations = network_cost(name, 64, options)
    # 2451 slices three times as dear as each of the 306 that are only looked at, 240 epochs.
    assert training.hours == pytest.approx(240 * (2451 + 306 / 3) * operations / 1e12 / 3600)
    assert (training.basis, training.trials, training.finished) == ("estimate", 1, 0)
    assert training.device_hours == training.hours


def test_a_recorded_training_of_the_same_network_and_size_is_a_measurement(tmp_path: Path) -> None:
    found = config(tmp_path / "results")
    other = dataclasses.replace(found.resolve("mmran"), name="pilot", schedule={"name": "fixed", "alpha": 0.3})
    training = only(found, record(tmp_path / "pilot", other))
    assert training.hours == pytest.approx(240 * (2451 + 306 / 3) / 500 / 3600)
    assert (training.basis, training.where, training.peak_memory_mb) == ("measured", "a GPU", 1234.0)


@pytest.mark.parametrize("difference", ["width", "size", "batch", "device"])
def test_other_work_is_no_measurement_of_this(tmp_path: Path, difference: str) -> None:
    found = config(tmp_path / "results")
    other = found.resolve("mmran")
    changed: dict[str, Any] = {
        "width": {"network": other.network | {"width": 0.25}},
        "size": {"input": dataclasses.replace(other.input, size=128)},
        "batch": {"training": dataclasses.replace(other.training, batch_size=4)},
        "device": {},
    }
    device = {"device": "cpu"} if difference == "device" else {}
    pilot = record(tmp_path / "pilot", dataclasses.replace(other, **changed[difference]), **device)
    assert only(found, pilot).basis == "estimate"


def training(hours: float, trials: int = 1, **changes: Any) -> Training:
    values: dict[str, Any] = {"experiment": "one", "protocol": "paper", "trials": trials, "finished": 0, "epochs": 1}
    values |= {"hours": hours, "basis": "estimate", "where": "", "gpus": 1, "threads": 1, "trials_per_gpu": 1}
    values |= {"memory_mb": 1, "runtime_minutes": 1, "peak_memory_mb": None, "parameters": 1, "done": False}
    return Training(**values | changes)


def test_the_longest_training_starts_first_and_each_takes_the_first_gpu_that_is_free() -> None:
    # 3 and 3 start; at 3 two of the 2s, at 5 the last: 7, where 6 would be the best there is.
    trainings = [training(2, trials=3), training(3, trials=2)]
    assert finish_hours(trainings, 2, 1) == 7
    assert finish_hours(trainings, 1, 1) == 12
    assert finish_hours(trainings, 9, 1) == 3
    assert finish_hours([training(3, trials=2, finished=2)], 1, 1) == 0


def test_trainings_that_share_a_gpu_run_side_by_side() -> None:
    thirds = training(1, trials=7, trials_per_gpu=3)
    assert finish_hours([thirds], 1, 1) == 3
    assert finish_hours([thirds], 2, 1) == 2
    assert thirds.device_hours == pytest.approx(7 / 3)


def test_trainings_on_processors_share_the_cores_of_the_machine() -> None:
    two_threads = training(1, trials=4, gpus=0, threads=2)
    assert finish_hours([two_threads], 1, 4) == 2
    # Snakemake scales down what asks for more than there is.
    assert finish_hours([two_threads], 1, 1) == 4
    assert two_threads.device_hours == 8


def step_in_forward_passes(name: str) -> float:
    """Operations of a step, counted, in those of the network's forward pass."""
    values = overlay(load([ROOT / "config.yaml"]), {"defaults": {"input": {"size": 128}}})
    experiment = Config.checked(values).resolve(name)
    with FakeTensorMode(), mock.patch.object(torch.nn.Module, "to", lambda self, *args, **kwargs: self):
        recipe = make_recipe(experiment, Compute(torch.device("cpu"), torch.float32, 1))
        images = torch.rand(2, 1, 128, 128)
        batch = Batch(images, images.round(), torch.zeros(2, dtype=torch.long))
        with FlopCounterMode(display=False) as forward, torch.no_grad():
            recipe.network.eval()(images)
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
@pytest.mark.parametrize("name", ["mmran", "rv-gan"])
def test_the_operations_of_a_step_are_as_many_as_the_estimate_takes_them_for(name: str) -> None:
    experiment = Config.read([ROOT / "config.yaml"]).resolve(name)
    options = {key: value for key, value in experiment.network.items() if key != "name"}
    from mmran.networks.complexity import multiply_accumulates

    _, operations = network_cost(experiment.network["name"], 128, json.dumps(options))
    passes = operations / 2 / multiply_accumulates(experiment.network["name"], 128, **options)
    assert passes == pytest.approx(step_in_forward_passes(name), rel=0.05)


def test_the_verb_says_jobs_hours_disk_and_what_is_an_estimate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gpu = tmp_path / "gpu.yaml"
    gpu.write_text("defaults: {resources: {gpus: 1, runtime_minutes: 1}, network: {width: 0.125}, input: {size: 64}}")
    where = ["--results", str(tmp_path / "new"), "--source", "cheng", "--config", str(ROOT / "config.yaml"), str(gpu)]
    assert main(["plan", *where, "--gpus", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    jobs = {"train": 23, "predict": 23, "evaluate": 23, "table": 6, "figure": 4, "convert": 1, "verify": 1, "split": 1}
    assert found["jobs"] == jobs
    assert found["gpu_hours"] == pytest.approx(sum(one["hours"] for one in found["trainings"]))
    assert found["gpu_hours"] / 4 <= found["finish_hours"] <= found["gpu_hours"]
    # 3064 slices of 512 x 512, three bytes a pixel.
    assert found["disk_bytes"]["slices"] == 3064 * 512 * 512 * 3
    assert not (tmp_path / "new").exists()

    assert main(["plan", *where, "--gpus", "4", "--tflops", "0.1"]) == 0
    text = capsys.readouterr().out
    assert "estimate: operations of a training step at 0.1 x 10^12 a second of a GPU (--tflops), an assumption" in text
    assert "on 4 GPUs" in text
    assert "resources.runtime_minutes of rv-gan is 1, a training takes" in text
