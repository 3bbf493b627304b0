"""Train many trials: with Ray Tune on the available CPUs and GPUs, or one after another in this process.

The training loop finds its own checkpoints. A trial that Ray or a later run restarts continues from the newest one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmran.errors import UserError
from mmran.files import ensure_dir
from mmran.machine import available_cpus
from mmran.training.mlflow_run import mlflow_variables
from mmran.training.trial import Trial
from mmran.tune.cluster import TrialResources, connected, shares_this_machine
from mmran.tune.output import TRIAL_LOG, Output, label
from mmran.tune.places import scratch_folder
from mmran.tune.worker import train_in_worker, train_logged

# A worker that dies because of a lost node or too little memory deserves another attempt.
MAX_FAILURES = 2


@dataclass(frozen=True)
class EarlyStopping:
    """Asynchronous successive halving: decides which trials of a search continue.

    At `grace_epochs`, and at each further multiple by `reduction_factor`, a trial continues if its best validation
    score is among the best 1 / `reduction_factor` of the trials that have reached it.

    Source: Li et al. 2020 (ASHA).

    Attributes:
        epochs: epochs of a trial that is never stopped.
        grace_epochs: epochs that every trial gets.
        reduction_factor: one in this many trials continues.
    """

    epochs: int
    grace_epochs: int
    reduction_factor: int

    def scheduler(self) -> Any:
        """The same as a scheduler of Ray Tune."""
        from ray.tune.schedulers import ASHAScheduler

        # Not at the last epoch: a trial that reaches it ends normally and writes its weights.
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


def train_trials(trials: Sequence[Trial], resources: TrialResources, output: Output, *, ray: bool = True) -> None:
    """Train the trials of one experiment, except those that are finished.

    Ray runs them on the shared head or on a private one. A single trial on a CPU of this machine needs no Ray, which
    takes longer to start than a small training; it is trained in this process.

    Args:
        trials: what to train.
        resources: what one trial leases.
        output: where to print.
        ray: whether Ray may be used; without it, the trials run in this process, one after another.

    Raises:
        UserError: Ray cannot be reached, or a trial failed; names its log.
    """
    _check_threads(resources)
    waiting = []
    for trial in trials:
        if trial.finished():
            output.result(f"{label(trial)}: already trained, kept")
        else:
            waiting.append(trial)
    if not waiting:
        return
    if ray and (len(waiting) > 1 or resources.gpus or not shares_this_machine()):
        failures = _tune(waiting, resources, output)
    else:
        failures = _train_here(waiting, resources, output)
    for i, trial in enumerate(waiting):
        if i not in failures and not trial.finished():
            failures[i] = _complaint(trial, "ended without weights")
    if failures:
        output.failed(waiting[min(failures)])
        raise UserError(f"{len(failures)} of {len(waiting)} trials failed: " + "; ".join(failures.values()))


def train_search(
    trials: Sequence[Trial], resources: TrialResources, stopping: EarlyStopping, output: Output
) -> dict[int, str]:
    """Train the trials of a search with Ray, and stop the worse ones early.

    A trial that fails, for example because its learning rate is too high, does not fail the search.

    Returns:
        Index of each failed trial -> the reason and its log.

    Raises:
        UserError: Ray cannot be reached, or every trial failed.
    """
    _check_threads(resources)
    failures = _tune(trials, resources, output, stopping)
    if len(failures) == len(trials):
        output.failed(trials[0])
        raise UserError(f"all {len(trials)} trials failed; the first: {failures[0]}")
    return failures


def _check_threads(resources: TrialResources) -> None:
    """Refuse more threads than CPUs: they wait for each other, and a training seems to hang."""
    cpus = available_cpus()
    if shares_this_machine() and resources.threads > cpus:
        raise UserError(
            f"--threads {resources.threads}: this process may use {cpus} CPUs (affinity and cgroup quota); "
            f"set resources.threads or --threads to at most {cpus}"
        )


def _train_here(trials: Sequence[Trial], resources: TrialResources, output: Output) -> dict[int, str]:
    """Train in this process, one trial after another; return what failed, and why."""
    failures = {}
    for i, trial in enumerate(trials):
        try:
            train_logged(trial, resources, "in this process", output.epoch)
            output.finished(trial)
        except UserError as error:
            failures[i] = _complaint(trial, str(error))
        except Exception as error:  # the log has the traceback; the other trials still train
            failures[i] = _complaint(trial, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
    return failures


def _tune(
    trials: Sequence[Trial], resources: TrialResources, output: Output, stopping: EarlyStopping | None = None
) -> dict[int, str]:
    """Run trials with Ray to their end, or until `stopping` stops them; return what failed, and why."""
    # Tune's files are useless after the run: the training loop writes everything that is kept.
    with connected(resources), scratch_folder(ensure_dir(trials[0].work), "tune-") as storage:
        from ray import tune

        given = {"trials": trials, "resources": resources, "replay": stopping is not None}
        train = tune.with_parameters(train_in_worker, **given, tracking=mlflow_variables())
        tuner = tune.Tuner(
            tune.with_resources(train, resources.for_ray()),
            param_space={"index": tune.grid_search(list(range(len(trials))))},
            tune_config=tune.TuneConfig(scheduler=stopping.scheduler() if stopping else None),
            run_config=tune.RunConfig(
                name="trials",
                storage_path=str(storage),
                failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
                callbacks=[_printer(trials, output)],
                verbose=0,
            ),
        )
        return _failures(trials, tuner.fit())


def _printer(trials: Sequence[Trial], output: Output) -> Any:
    """A Tune callback that prints what the workers report, in the order of arrival."""
    from ray.tune import Callback

    class Printer(Callback):
        def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any) -> None:
            if result.get("lines"):
                output.epoch(result["lines"])

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            ended = by_index[trial.config["index"]]
            if ended.record_path.is_file():
                output.finished(ended)

    by_index = dict(enumerate(trials))
    return Printer()


def _failures(trials: Sequence[Trial], results: Any) -> dict[int, str]:
    """Index of each failed trial -> the reason; Tune itself returns normally when trials fail."""
    failures = {}
    for result in results:
        index, metrics = (result.config or {}).get("index", 0), result.metrics or {}
        if result.error or metrics.get("error"):
            reason = metrics.get("error") or str(result.error).strip().splitlines()[-1]
            failures[index] = _complaint(trials[index], reason)
    return failures


def _complaint(trial: Trial, reason: str) -> str:
    return f"{label(trial)}: {reason} (log: {trial.folder / TRIAL_LOG})"
