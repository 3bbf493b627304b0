"""One trial with its log, in this process or in a Ray worker."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmran.errors import UserError
from mmran.files import ensure_dir
from mmran.training.history import HistoryRow, read_history
from mmran.training.mlflow_run import use_mlflow_variables
from mmran.training.trial import Trial
from mmran.tune.cluster import TrialResources
from mmran.tune.output import TRIAL_LOG, label


def train_logged(
    trial: Trial,
    resources: TrialResources,
    place: str,
    report: Callable[[str], None],
    on_epoch: Callable[[HistoryRow], None] | None = None,
) -> None:
    """Train a trial and append its lines to the log in its folder.

    Args:
        trial: what to train.
        resources: threads, and whether there is a GPU.
        place: where this runs, for the first line.
        report: receives each line too.
        on_epoch: receives the history row of each epoch.

    Raises:
        UserError: as `mmran.training.run.run_trial`.
    """
    # Imports torch, which drivers do not need.
    from mmran.training.run import run_trial

    with (ensure_dir(trial.folder) / TRIAL_LOG).open("a", encoding="utf-8") as file:

        def line(text: str) -> None:
            print(text, file=file, flush=True)
            report(text)

        line(f"{label(trial)}: {place}")
        try:
            run_trial(trial, gpu=resources.gpus > 0, threads=resources.threads, log=line, on_epoch=on_epoch)
        except UserError as error:
            line(f"error: {error}")
            raise
        except Exception:
            line(traceback.format_exc().rstrip())
            raise


def train_in_worker(
    config: dict[str, Any],
    trials: Sequence[Trial],
    resources: TrialResources,
    replay: bool,
    tracking: Mapping[str, str],
) -> None:
    """One trial in a Ray worker; every line of its log goes to the driver.

    Args:
        config: `index` of the trial.
        trials: all trials.
        resources: what the trial leases.
        replay: report the epochs of an earlier run first, which early stopping needs for its decisions.
        tracking: the driver's variables of MLflow.
    """
    use_mlflow_variables(tracking)
    trial, reports = trials[config["index"]], _Reports()
    if replay:
        for row in read_history(trial.history_path):
            reports.epoch(row)
    try:
        train_logged(trial, resources, _place(), reports.lines.append, reports.epoch)
        reports.rest()
    except UserError as error:
        # Reported, not raised: another attempt would end the same way.
        reports.send(error=str(error))


def _place() -> str:
    """The node of this worker, and the share of a GPU that it leases."""
    import ray

    context = ray.get_runtime_context()
    gpus, share = context.get_accelerator_ids()["GPU"], context.get_assigned_resources().get("GPU", 0)
    leased = f"GPU {gpus[0]} ({share:g} of it) of " if gpus else ""
    return f"on {leased}{ray.util.get_node_ip_address()}"


class _Reports:
    """What a trial reports to Tune: each epoch once, with the new lines of its log."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.epochs, self.best_score = 0, -1.0

    def epoch(self, row: HistoryRow) -> None:
        if row.epoch < self.epochs:
            return
        self.epochs, self.best_score = row.epoch + 1, max(self.best_score, row.score)
        self.send()

    def rest(self) -> None:
        """Send the lines after the last epoch."""
        if self.lines:
            self.send()

    def send(self, **more: str) -> None:
        from ray import tune

        text = "\n".join(self.lines)
        self.lines.clear()
        tune.report({"epochs": self.epochs, "best_score": self.best_score, "lines": text, **more})
