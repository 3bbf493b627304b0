"""Ray: many trials on the CPUs and GPUs there are. The one module that imports it.

The training loop finds its own checkpoints, so a trial that Ray starts again, or that a later run starts, continues
where it was; nothing here is needed for that but to start it.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmran.errors import UserError
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


def run_beside_head(command: Sequence[str], cpus: int, gpus: int) -> int:
    """Run a command whose trainings share a head on this machine; returns its exit code.

    Args:
        command: program and arguments.
        cpus, gpus: what the head hands out.

    Raises:
        UserError: there is no such program, or the head does not start.
    """
    with head(cpus, gpus) as environment:
        print(f"Ray head with {cpus} CPUs and {gpus} GPUs at {environment['RAY_ADDRESS']}", file=sys.stderr)
        try:
            child = subprocess.Popen(command, env={**os.environ, **environment}, preexec_fn=_die_with_parent)
        except FileNotFoundError as error:
            raise UserError(f"{command[0]}: no such command; is the environment with snakemake activated?") from error
        # The command decides how it ends; the head is stopped when it has.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda received, frame: os.killpg(child.pid, received))
        code = child.wait()
        return code if code >= 0 else 128 - code


@contextlib.contextmanager
def head(cpus: int, gpus: int) -> Iterator[dict[str, str]]:
    """Run a Ray head on this machine, on loopback and behind a token; yields the environment that reaches it.

    Jobs that share a head lease its GPUs one by one, or fractions of them; heads of their own would each take GPU 0.
    The head ends with this process, however that ends.

    Args:
        cpus, gpus: what the head hands out.

    Raises:
        UserError: the head does not start.
    """
    temporary, port = _short_folder(), _free_port()
    environment = {
        "RAY_ADDRESS": f"127.0.0.1:{port}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--node-ip-address=127.0.0.1"]
    command += [f"--port={port}", f"--num-cpus={cpus}", f"--num-gpus={gpus}", "--include-dashboard=false"]
    command += [f"--temp-dir={temporary}", "--disable-usage-stats"]
    log = Path(temporary) / "head.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=_die_with_parent,
        )
    try:
        _await_head(process, port, log)
        yield environment
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        shutil.rmtree(temporary, ignore_errors=True)


def _await_head(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    import time

    for _ in range(600):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
    raise UserError(f"the Ray head did not start within 60 s: {' | '.join(lines) or 'it said nothing'}")


def _die_with_parent() -> None:
    """In a child: end when the parent does, even if it is killed; what Ctrl-C means is the parent's to pass on."""
    import ctypes

    os.setsid()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _short_folder() -> str:
    """A temporary folder with a name short enough for Ray's sockets, whose paths end at 107 bytes."""
    parent = tempfile.gettempdir()
    return tempfile.mkdtemp(prefix="ray-", dir=parent if len(parent) <= 30 else "/tmp")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
