"""Trials of a tiny network on tiny slices, and training that stops where a process would be killed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mmran.config.experiment import Experiment
from mmran.training import run
from mmran.training.history import HistoryRow
from mmran.training.trial import Trial, plan_trials
from tests.paper import DEFAULTS

EXPERIMENT = {
    "name": "tiny",
    "network": {"name": "mmran", "width": 0.0625, "attention": "mram"},
    "input": {"size": 32, "fit": "pad", "percentiles": [1, 99]},
    "augmentation": DEFAULTS["augmentation"],
    "loss": DEFAULTS["loss"],
    "schedule": {"name": "dynamic"},
    "training": DEFAULTS["training"] | {"epochs": 3, "precision": "float32", "checkpoint_minutes": 0},
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


def train(found: Trial, *, gpu: bool = False, **options: Any) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    folder = run.run_trial(found, gpu=gpu, **{"threads": 1, "log": lambda line: None} | options)
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
