"""Ray Tune runs many trials on the CPUs and GPUs at hand.

The training loop finds its own checkpoints, so a trial that Ray starts again, or that a later run starts, continues
where it was; nothing here is needed for that but to start it.
"""

import shutil
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from mmran.errors import UserError
from mmran.training.history import HistoryRow, read_history
from mmran.training.trial import Trial
from mmran.tune.cluster import TrialResources, connected

# A worker that dies, of a lost node or too little memory, is worth another try; a wrong value is not.
MAX_FAILURES = 2


@dataclass(frozen=True)
class Halving:
    """Asynchronous successive halving: whom a search lets go on.

    At `grace_epochs`, and at each further multiple by `reduction_factor`, a trial goes on if its best validation score
    is among the best one in `reduction_factor` of those that have come as far.

    Source: Li et al. 2020 (ASHA).

    Attributes:
        epochs: of a trial that is never stopped.
        grace_epochs: every trial gets so many.
        reduction_factor: one in so many goes on.
    """

    epochs: int
    grace_epochs: int
    reduction_factor: int

    def scheduler(self) -> Any:
        """In Ray's terms."""
        from ray.tune.schedulers import ASHAScheduler

        # Nobody is stopped at the last epoch: who comes so far ends by itself, and writes its weights.
        last = max(1, self.epochs - 1)
        return ASHAScheduler(
            time_attr="epochs",
            metric="best_score",
            mode="max",
            max_t=last,
            grace_period=min(self.grace_epochs, last),
            reduction_factor=self.reduction_factor,
            stop_last_trials=False,
        )


def train_with_ray(trials: Sequence[Trial], resources: TrialResources) -> None:
    """Train the trials of one experiment as one Tuner, on the shared Ray head or on one of this job's own.

    Raises:
        UserError: Ray cannot be reached, or a trial failed; with its log.
    """
    waiting = [trial for trial in trials if not trial.finished()]
    for trial in trials:
        if trial not in waiting:
            print(f"{trial.experiment.name} {trial.name}: trained before, kept", flush=True)
    if not waiting:
        return
    failures = _tune(waiting, resources)
    for i, trial in enumerate(waiting):
        if i not in failures and not trial.finished():
            failures[i] = _complaint(trial, "ended without weights")
    if failures:
        raise UserError(f"{len(failures)} of {len(waiting)} trials failed: " + "; ".join(failures.values()))


def search_with_ray(trials: Sequence[Trial], resources: TrialResources, halving: Halving) -> dict[int, str]:
    """Train the trials of a search as one Tuner, and stop the worse ones early.

    A trial that fails is a bad draw, a learning rate that is too high say, and no failure of the search.

    Returns:
        Index of each trial that failed -> why, and where its log is.

    Raises:
        UserError: Ray cannot be reached, or every trial failed.
    """
    failures = _tune(trials, resources, halving)
    if len(failures) == len(trials):
        raise UserError(f"all {len(trials)} trials failed; the first: {failures[0]}")
    return failures


def _tune(trials: Sequence[Trial], resources: TrialResources, halving: Halving | None = None) -> dict[int, str]:
    """Run trials to their end, or until `halving` stops them; returns what failed, and why."""
    with connected(resources):
        from ray import tune

        # Tune's own files are of no use after the run: what is to last, the training loop writes.
        storage = Path(tempfile.mkdtemp(prefix="tune-", dir=_made(trials[0].work)))
        train = tune.with_parameters(_train_one, trials=trials, resources=resources, replay=halving is not None)
        tuner = tune.Tuner(
            tune.with_resources(train, resources.for_ray()),
            param_space={"index": tune.grid_search(list(range(len(trials))))},
            tune_config=tune.TuneConfig(scheduler=halving.scheduler() if halving else None),
            run_config=tune.RunConfig(
                name="trials",
                storage_path=str(storage),
                failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
                callbacks=[_printer()],
                verbose=0,
            ),
        )
        try:
            return _failures(trials, tuner.fit())
        finally:
            shutil.rmtree(storage, ignore_errors=True)


def _train_one(config: dict[str, Any], trials: Sequence[Trial], resources: TrialResources, replay: bool) -> None:
    """One trial in a Ray worker: every line of its log goes to the driver and to train.log in its folder."""
    from mmran.training.run import run_trial

    trial = trials[config["index"]]
    with (_made(trial.folder) / "train.log").open("a", encoding="utf-8") as file:
        reports = _Reports(file)
        if replay:
            for row in read_history(trial.history_path):
                reports.epoch(row)
        reports.line(f"{trial.experiment.name} {trial.name}: {_place()}")
        try:
            run_trial(
                trial, gpu=resources.gpus > 0, threads=resources.threads, log=reports.line, on_epoch=reports.epoch
            )
            reports.rest()
        except UserError as error:
            reports.failure(str(error))
        except Exception:
            reports.line(traceback.format_exc())
            raise


def _place() -> str:
    """Where a trial runs, and what it holds of a GPU."""
    import ray

    context = ray.get_runtime_context()
    gpus, share = context.get_accelerator_ids()["GPU"], context.get_assigned_resources().get("GPU", 0)
    held = f"GPU {gpus[0]} ({share:g} of it) of " if gpus else ""
    return f"on {held}{ray.util.get_node_ip_address()}"


class _Reports:
    """What a trial tells Tune: each epoch once, with the lines of its log.

    A search hears of the epochs from before an interruption too, since it decides by them who goes on.
    """

    def __init__(self, log: TextIO) -> None:
        self.log = log
        self.lines: list[str] = []
        self.epochs, self.best_score = 0, -1.0

    def line(self, text: str) -> None:
        print(text, file=self.log, flush=True)
        self.lines.append(text)

    def epoch(self, row: HistoryRow) -> None:
        if row.epoch < self.epochs:
            return
        self.epochs, self.best_score = row.epoch + 1, max(self.best_score, row.score)
        self._report()

    def failure(self, reason: str) -> None:
        self.line(f"error: {reason}")
        self._report(error=reason)

    def rest(self) -> None:
        if self.lines:
            self._report()

    def _report(self, **more: str) -> None:
        from ray import tune

        text = "\n".join(self.lines)
        self.lines.clear()
        tune.report({"epochs": self.epochs, "best_score": self.best_score, "lines": text, **more})


def _printer() -> Any:
    from ray.tune import Callback

    class PrintLines(Callback):
        """Print what the workers report, in the order in which it arrives."""

        def on_trial_result(
            self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
        ) -> None:
            if result.get("lines"):
                print(result["lines"], flush=True)

    return PrintLines()


def _failures(trials: Sequence[Trial], results: Any) -> dict[int, str]:
    """Tune returns as if nothing had happened when trials fail."""
    failures = {}
    for result in results:
        index, metrics = (result.config or {}).get("index", 0), result.metrics or {}
        if result.error or metrics.get("error"):
            reason = metrics.get("error") or str(result.error).strip().splitlines()[-1]
            failures[index] = _complaint(trials[index], reason)
    return failures


def _complaint(trial: Trial, reason: str) -> str:
    return f"{trial.experiment.name} {trial.name}: {reason} (log: {trial.folder / 'train.log'})"


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
