"""Ray: many trials on the CPUs and GPUs there are. The one module that imports it.

The training loop finds its own checkpoints, so a trial that Ray starts again, or that a later run starts, continues
where it was; nothing here is needed for that but to start it.
"""

import contextlib
import os
import shutil
import signal
import socket
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmran.errors import UserError
from mmran.head import head
from mmran.training.trial import Trial, run_trial

# A worker that dies, of a lost node or too little memory, is worth another try; a wrong value is not.
MAX_FAILURES = 2


@dataclass(frozen=True)
class Share:
    """What one trial leases.

    Attributes:
        threads: CPU threads.
        gpus: whole GPUs of the job, 0 for none.
        trials_per_gpu: how many trials share one.
    """

    threads: int
    gpus: int
    trials_per_gpu: int = 1

    def resources(self) -> dict[str, float]:
        """In Ray's terms."""
        return {"cpu": self.threads, "gpu": 1 / self.trials_per_gpu if self.gpus else 0}


def train_with_ray(trials: Sequence[Trial], share: Share) -> None:
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
    with _ray(share):
        _tune(waiting, share)


def _tune(trials: Sequence[Trial], share: Share) -> None:
    from ray import tune

    # Tune's own files are of no use after the run: what is to last, the training loop writes.
    storage = Path(tempfile.mkdtemp(prefix="tune-", dir=_made(trials[0].work)))
    trainable = tune.with_resources(tune.with_parameters(_train_one, trials=trials, share=share), share.resources())
    tuner = tune.Tuner(
        trainable,
        param_space={"index": tune.grid_search(list(range(len(trials))))},
        run_config=tune.RunConfig(
            name="trials",
            storage_path=str(storage),
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            callbacks=[_printer()],
            verbose=0,
        ),
    )
    try:
        results = tuner.fit()
        _raise_failures(trials, results)
    finally:
        shutil.rmtree(storage, ignore_errors=True)


def _train_one(config: dict[str, Any], trials: Sequence[Trial], share: Share) -> None:
    """One trial in a Ray worker: every line of its log goes to the driver and to train.log in its folder."""
    from ray import tune

    trial = trials[config["index"]]
    lines: list[str] = []
    with (_made(trial.folder) / "train.log").open("a", encoding="utf-8") as file:

        def log(line: str) -> None:
            print(line, file=file, flush=True)
            lines.append(line)

        def report(row: dict[str, Any]) -> None:
            tune.report({**row, "lines": "\n".join(lines)})
            lines.clear()

        try:
            run_trial(trial, gpu=share.gpus > 0, threads=share.threads, log=log, on_epoch=report)
        except UserError as error:
            log(f"error: {error}")
            tune.report({"error": str(error)})
        except Exception:
            log(traceback.format_exc())
            raise


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


def _raise_failures(trials: Sequence[Trial], results: Any) -> None:
    """Tune returns as if nothing had happened when trials fail."""
    failed = []
    for result in results:
        trial = trials[(result.config or {}).get("index", 0)]
        metrics = result.metrics or {}
        if result.error or metrics.get("error"):
            reason = metrics.get("error") or str(result.error).strip().splitlines()[-1]
            failed.append(f"{trial.experiment.name} {trial.name}: {reason} (log: {trial.folder / 'train.log'})")
    missing = [trial for trial in trials if not trial.finished()]
    if missing and not failed:
        failed = [f"{trial.experiment.name} {trial.name}: ended without weights" for trial in missing]
    if failed:
        raise UserError(f"{len(failed)} of {len(trials)} trials failed: " + "; ".join(failed))


@contextlib.contextmanager
def _ray(share: Share) -> Iterator[None]:
    """Connect to the head that RAY_ADDRESS names, or to one of this job's own, with its threads and GPUs."""
    with contextlib.ExitStack() as stack:
        if "RAY_ADDRESS" not in os.environ:
            os.environ.update(stack.enter_context(head(share.threads, share.gpus)))
            stack.callback(os.environ.pop, "RAY_ADDRESS")
        # Ray reads these when it is imported.
        os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
        # Otherwise Ray warns that a worker without a GPU will in future see them all.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        _connect(os.environ["RAY_ADDRESS"])
        import ray

        stack.callback(ray.shutdown)
        yield


def _connect(address: str) -> None:
    import ray

    remedy = "start one with `mmran run`, or unset RAY_ADDRESS to let each job start its own"
    host, _, port = address.rpartition(":")
    try:
        # Ray itself would try for minutes.
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise UserError(f"RAY_ADDRESS={address}: no Ray head answers there ({error}); {remedy}") from error
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
        # Ray has put a silent exit in its place.
        signal.signal(signal.SIGTERM, on_sigterm)
    except Exception as error:
        token = "is" if os.environ.get("RAY_AUTH_MODE") == "token" else "is not"
        raise UserError(
            f"RAY_ADDRESS={address}: the head there does not let us in (RAY_AUTH_MODE=token {token} set, and "
            f"RAY_AUTH_TOKEN must be the head's); {remedy}"
        ) from error


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
