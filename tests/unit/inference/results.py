"""Make a folder of results as the workflow lays it out, without the workflow."""

import shutil
from pathlib import Path
from typing import Any

from mmran.evaluation.evaluate import evaluate
from mmran.evaluation.predict import predict_trials
from mmran.files import write_text
from mmran.training.publish import publish
from mmran.training.run import run_trial
from mmran.training.trial import plan_trials
from tests.unit.training.trials import experiment


def make_results(tiny: Path, results: Path, **changes: Any) -> Path:
    """Train, predict and evaluate an experiment on the tiny slices; returns the folder of results."""
    for name in ("data", "splits"):
        shutil.copytree(tiny / name, results / name)
    store, split = results / "data" / "slices.h5", results / "splits" / "paper.csv"
    found = experiment(**{"training": {"epochs": 4, "batch_size": 5}, "seeds": [1029, 1], **changes})
    folder = results / "experiments" / found.name / "paper"
    trials = plan_trials(found, store, split, results / ".work")
    for trial in trials:
        run_trial(trial, gpu=False, threads=1, log=lambda line: None)
    publish(trials, found.to_json(), folder)
    predictions, spec = folder / "predictions.h5", folder / "spec.json"
    predict_trials(trials, spec, folder, predictions, gpu=False, threads=1)
    evaluate(predictions, store, split, folder / "cases.csv", folder / "summary.json")
    write_text(results / "specs" / "experiments" / f"{found.name}.json", found.to_json())
    return results
