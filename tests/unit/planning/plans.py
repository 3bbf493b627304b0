"""The paper's configuration cut to one experiment, and records of trainings, for the tests of plans."""

from pathlib import Path
from typing import Any

import torch

from mmran.config.configuration import Config
from mmran.config.experiment import Experiment
from mmran.config.load import load, overlay
from mmran.data.batches import Batch
from mmran.files import write_json
from mmran.planning.train_jobs import TrainJob, plan
from mmran.training.trial import Trial, plan_trials

ROOT = Path(__file__).resolve().parents[3]


def config(results: Path, **changes: Any) -> Config:
    """The paper's with one experiment, one seed, and one protocol, on GPUs."""
    rows = [{"label": "MMRAN", "experiment": "mmran"}]
    table = {"title": "One", "kind": "metrics", "metrics": ["dice"], "rows": rows}
    values = load([ROOT / "config.yaml"])
    values |= {"tables": {"table2": table}, "figures": {}, "claims": [], "evaluate_under": ["paper"]}
    values["experiments"]["mmran"]["seeds"] = [1029]
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


def trials(found: Config) -> list[Trial]:
    results = found.results
    store, split = results / "data" / "slices.h5", results / "splits" / "paper.csv"
    return plan_trials(found.resolve("mmran"), store, split, results / ".work")


def stand_in(name: str, size: int, width: float) -> tuple[Experiment, Batch]:
    values = load([ROOT / "config.yaml"])
    defaults = {"defaults": {"input": {"size": size}, "network": {"width": width}}}
    images = torch.rand(2, 1, size, size)
    return Config.checked(overlay(values, defaults)).resolve(name), Batch(images, images.round(), torch.tensor([0, 1]))
