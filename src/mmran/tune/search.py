"""Search for a fixed weight of the two tasks, and for learning rate and batch size, on the validation set alone.

What dynamic weights are said to save. Each trial is an experiment of its own, drawn by lot; the worse ones are stopped
early. Nothing here sees a test slice, and no number of it stands in a table of the paper: trials end after unequal
numbers of epochs.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.stats import qmc

from mmran.config.experiment import Experiment, ScheduleSpec
from mmran.config.search import SearchSpec
from mmran.errors import UserError
from mmran.files import atomic_path, write_json
from mmran.training.checkpoint import CheckpointFolder
from mmran.training.history import read_history
from mmran.training.record import RunRecord
from mmran.training.trial import Trial, plan_trials

DIMENSIONS = ("alpha", "learning_rate", "batch_size")
"""What is searched over. The order is part of every draw: append, never reorder."""

STATUSES = COMPLETE, STOPPED, FAILED = "complete", "stopped early", "failed"


def proposals(search: SearchSpec) -> list[Experiment]:
    """One experiment per trial; a longer search begins with the trials of a shorter one.

    The draws are a scrambled Halton sequence: a few of them cover a range better than independent ones.

    Source: Bergstra and Bengio 2012; Halton 1960.
    """
    lots = qmc.Halton(len(DIMENSIONS), rng=search.seed).random(search.trials)
    return [_proposal(search, i, dict(zip(DIMENSIONS, lot.tolist(), strict=True))) for i, lot in enumerate(lots)]


def _proposal(search: SearchSpec, index: int, lot: Mapping[str, float]) -> Experiment:
    drawn = {name: _draw(choices, lot[name]) for name, choices in search.space.items()}
    return dataclasses.replace(
        search.experiment,
        name=f"search-{index:03d}",
        schedule=ScheduleSpec("fixed", float(drawn.pop("alpha"))),
        training=dataclasses.replace(search.experiment.training, **drawn),
    )


def _draw(choices: Any, u: float) -> Any:
    """The value at a lot u in [0, 1); ranges are rounded to three digits, which is what a person would type."""
    if isinstance(choices, list):
        return choices[int(u * len(choices))]
    low, high = choices["low"], choices["high"]
    value = low * (high / low) ** u if choices.get("log") else low + (high - low) * u
    return float(f"{value:.3g}")


def plan_search(search: SearchSpec, store: Path, split: Path, work: Path) -> list[Trial]:
    """The trials of a search: on the first fold of the split, under the experiment's first seed.

    Raises:
        UserError: the experiment's network lacks one of the two tasks, so that there is nothing to weigh.
    """
    from mmran.networks import network_class

    tasks = network_class(search.experiment.network.name).tasks
    if len(tasks) < 2:
        raise UserError(
            f"config: search.experiment: {search.experiment.name} is for {tasks[0]} alone; a weight of two tasks needs "
            "an experiment with both, dynamic say"
        )
    first = plan_trials(search.experiment, store, split, work)[0]
    return [dataclasses.replace(first, experiment=proposal) for proposal in proposals(search)]


def deliver_search(
    search: SearchSpec, trials: list[Trial], failures: Mapping[int, str], trials_per_gpu: int, output: Path
) -> dict[str, Any]:
    """Write trials.csv, one line per trial, and search.json, the best of them and what all took.

    The checkpoints of stopped trials are let go; their histories stay, by which a longer search goes on.

    Args:
        search: what was searched.
        trials: of `plan_search`, when they have ended.
        failures: index of a trial -> why it failed.
        trials_per_gpu: how many shared one.
        output: folder of both files.

    Returns:
        What search.json holds.
    """
    rows = [_outcome(trial, failed=i in failures) for i, trial in enumerate(trials)]
    complete = [trial for trial, row in zip(trials, rows, strict=True) if row["status"] == COMPLETE]
    if not complete:
        raise UserError(f"search of {search.experiment.name}: no trial came to its end; see {trials[0].folder.parent}")
    best = max((row for row in rows if row["status"] != FAILED), key=lambda row: row["score"])
    record = RunRecord.read(complete[0].record_path)
    with atomic_path(output / "trials.csv") as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)
    values = {
        "experiment": search.experiment.name,
        "seed": trials[0].seed,
        "fold": trials[0].fold,
        # Of the training that the search is held against: the searched experiment as it is, on the same slices.
        "digest": dataclasses.replace(trials[0], experiment=search.experiment).digest,
        "space": dict(search.space),
        "trials": {status: sum(row["status"] == status for row in rows) for status in STATUSES},
        "epochs": sum(row["epochs"] for row in rows),
        "seconds": round(sum(row["seconds"] for row in rows), 2),
        "best": best,
        "failures": list(failures.values()),
        "trials_per_gpu": trials_per_gpu,
        **{key: getattr(record, key) for key in ("device", "device_name", "precision", "threads")},
    }
    write_json(output / "search.json", values)
    for trial in trials:
        CheckpointFolder(trial.folder, trial.digest).discard()
    return values


def _outcome(trial: Trial, failed: bool) -> dict[str, Any]:
    experiment, history = trial.experiment, read_history(trial.history_path)
    status = FAILED if failed else COMPLETE if trial.finished() else STOPPED
    best = max(history, key=lambda row: row.score, default=None)
    return {
        "trial": experiment.name,
        "status": status,
        "alpha": experiment.schedule.alpha,
        "learning_rate": experiment.training.learning_rate,
        "batch_size": experiment.training.batch_size,
        "epochs": len(history),
        "best_epoch": best.epoch + 1 if best else None,
        **{key: getattr(best, key) if best else None for key in ("val_dice", "val_acc", "score")},
        "seconds": round(sum(row.seconds for row in history), 2),
        "digest": trial.digest,
    }
