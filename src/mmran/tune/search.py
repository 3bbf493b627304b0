"""Random search for a fixed weight of the two tasks, a learning rate and a batch size, using only the validation set.

Dynamic weights are supposed to make this search unnecessary. Each trial is an experiment; the worse ones
are stopped early. A search never reads a test slice, and no table of the paper shows its numbers, since its trials end
after unequal numbers of epochs.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.stats import qmc

from mmran.config.experiment import Experiment, ScheduleSpec
from mmran.config.record import read_record
from mmran.config.search import SearchSpec
from mmran.errors import UserError
from mmran.files import atomic_path, write_json
from mmran.training.checkpoint import CheckpointFolder
from mmran.training.history import read_history
from mmran.training.record import RunRecord
from mmran.training.trial import Trial, plan_trials

DIMENSIONS = ("alpha", "learning_rate", "batch_size")
"""The dimensions of a search. Their order is part of every draw: append, never reorder."""

STATUSES = COMPLETE, STOPPED, FAILED = "complete", "stopped early", "failed"


@dataclass(frozen=True)
class SearchTrial:
    """One trial of a search, a row of trials.csv.

    Attributes:
        trial: name of its experiment.
        status: one of STATUSES.
        alpha: weight of the classification loss.
        learning_rate: as drawn.
        batch_size: as drawn.
        epochs: number of epochs trained.
        best_epoch: the epoch with the best score, from 1; None if no epoch was trained.
        val_dice: Dice of that epoch, 0 to 1.
        val_acc: its accuracy, 0 to 1.
        score: mean of the two.
        seconds: training time.
        digest: of the trial.
    """

    trial: str
    status: str
    alpha: float
    learning_rate: float
    batch_size: int
    epochs: int
    best_epoch: int | None
    val_dice: float | None
    val_acc: float | None
    score: float | None
    seconds: float
    digest: str


@dataclass(frozen=True)
class SearchRecord:
    """The result of a search, search.json.

    Attributes:
        experiment: name of the searched experiment.
        seed: of all trials.
        fold: of the split.
        digest: of the training that the search is compared with: the searched experiment trained on the same slices.
        space: as in `SearchSpec`.
        trials: status -> number of trials.
        epochs: epochs of all trials.
        seconds: training time of all trials.
        best: the trial with the best validation score.
        failures: reason of each failed trial.
        trials_per_gpu: number of trials that shared one GPU.
        device, device_name, precision, threads: see `mmran.training.record.Machine`.
    """

    experiment: str
    seed: int
    fold: int
    digest: str
    space: Mapping[str, Any]
    trials: Mapping[str, int]
    epochs: int
    seconds: float
    best: SearchTrial
    failures: Sequence[str]
    trials_per_gpu: int
    device: str
    device_name: str
    precision: str
    threads: int

    def write(self, path: Path) -> None:
        """Write search.json."""
        write_json(path, dataclasses.asdict(self))

    @classmethod
    def read(cls, path: Path) -> "SearchRecord":
        """Read search.json.

        Raises:
            UserError: the file is missing or is not the record of a search.
        """
        return read_record(
            path, "the record of a search", lambda values: cls(**{**values, "best": SearchTrial(**values["best"])})
        )


def proposals(search: SearchSpec) -> list[Experiment]:
    """One experiment per trial; a longer search begins with the trials of a shorter one.

    The draws are a scrambled Halton sequence: a few of them cover a range better than independent draws do.

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
    """The value at u in [0, 1); values of a range are rounded to three digits, as one would type them."""
    if isinstance(choices, list):
        return choices[int(u * len(choices))]
    low, high = choices["low"], choices["high"]
    value = low * (high / low) ** u if choices.get("log") else low + (high - low) * u
    return float(f"{value:.3g}")


def plan_search(search: SearchSpec, store: Path, split: Path, work: Path) -> list[Trial]:
    """The trials of a search: on the first fold of the split, with the experiment's first seed.

    Raises:
        UserError: the experiment's network has only one of the two tasks.
    """
    from mmran.networks import network_class

    network = search.experiment.network
    tasks = network.tasks or network_class(network.name).tasks
    if len(tasks) < 2:
        raise UserError(
            f"config: search.experiment: {search.experiment.name} is for {tasks[0]} only; choose an experiment with "
            "both tasks, such as dynamic"
        )
    first = plan_trials(search.experiment, store, split, work)[0]
    return [dataclasses.replace(first, experiment=proposal) for proposal in proposals(search)]


def publish_search(
    search: SearchSpec, trials: Sequence[Trial], failures: Mapping[int, str], trials_per_gpu: int, output: Path
) -> SearchRecord:
    """Write trials.csv and search.json, then delete the checkpoints of stopped trials.

    The histories stay, so a longer search decides from them without retraining.

    Args:
        search: the specification.
        trials: of `plan_search`, all of them ended.
        failures: index of a failed trial -> the reason.
        trials_per_gpu: number of trials that shared one GPU.
        output: folder of both files.

    Raises:
        UserError: no trial finished.
    """
    rows = [_outcome(trial, failed=i in failures) for i, trial in enumerate(trials)]
    complete = [trial for trial, row in zip(trials, rows, strict=True) if row.status == COMPLETE]
    if not complete:
        raise UserError(f"search of {search.experiment.name}: no trial finished; see {trials[0].folder.parent}")
    with atomic_path(output / "trials.csv") as temporary:
        pd.DataFrame([vars(row) for row in rows]).to_csv(temporary, index=False)
    machine = RunRecord.read(complete[0].record_path)
    record = SearchRecord(
        experiment=search.experiment.name,
        seed=trials[0].seed,
        fold=trials[0].fold,
        digest=dataclasses.replace(trials[0], experiment=search.experiment).digest,
        space=dict(search.space),
        trials={status: sum(row.status == status for row in rows) for status in STATUSES},
        epochs=sum(row.epochs for row in rows),
        seconds=round(sum(row.seconds for row in rows), 2),
        best=max((row for row in rows if row.status != FAILED), key=lambda row: row.score or 0.0),
        failures=list(failures.values()),
        trials_per_gpu=trials_per_gpu,
        device=machine.device,
        device_name=machine.device_name,
        precision=machine.precision,
        threads=machine.threads,
    )
    record.write(output / "search.json")
    for trial in trials:
        CheckpointFolder(trial.folder, trial.digest).discard()
    return record


def _outcome(trial: Trial, failed: bool) -> SearchTrial:
    experiment, history = trial.experiment, read_history(trial.history_path)
    status = FAILED if failed else COMPLETE if trial.finished() else STOPPED
    best = max(history, key=lambda row: row.score, default=None)
    if experiment.schedule.alpha is None:
        raise ValueError(f"{experiment.name}: a trial of a search has a fixed weight")
    return SearchTrial(
        trial=experiment.name,
        status=status,
        alpha=experiment.schedule.alpha,
        learning_rate=experiment.training.learning_rate,
        batch_size=experiment.training.batch_size,
        epochs=len(history),
        best_epoch=best.epoch + 1 if best else None,
        val_dice=best.val_dice if best else None,
        val_acc=best.val_acc if best else None,
        score=best.score if best else None,
        seconds=round(sum(row.seconds for row in history), 2),
        digest=trial.digest,
    )
