"""The connection to a Ray head: the shared one that RAY_ADDRESS names, or a private one."""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mmran.errors import UserError
from mmran.tune.head import HEAD_PYTHON, exit_if_head_lost, head, python_identity


@dataclass(frozen=True)
class TrialResources:
    """What one trial leases.

    Attributes:
        threads: CPU threads.
        gpus: whole GPUs of the job, 0 for none.
        trials_per_gpu: trials that share one GPU.
    """

    threads: int
    gpus: int
    trials_per_gpu: int = 1

    @property
    def gpu_share(self) -> float:
        """The fraction of a GPU that a trial leases."""
        return 1 / self.trials_per_gpu if self.gpus else 0

    @property
    def at_a_time(self) -> int:
        """Trials that a private head runs side by side; limited by the GPUs if there are any."""
        return max(1, self.gpus * self.trials_per_gpu)

    def for_ray(self) -> dict[str, float]:
        """The same as Ray's options."""
        return {"cpu": self.threads, "gpu": self.gpu_share}


def shared_address() -> str | None:
    """The address in RAY_ADDRESS; None if the variable is unset or empty."""
    return os.environ.get("RAY_ADDRESS", "").strip() or None


def shares_this_machine() -> bool:
    """Whether every trial runs on this machine: there is no shared head, or it is the one of `mmran run`."""
    return shared_address() is None or HEAD_PYTHON in os.environ


@contextlib.contextmanager
def connected(resources: TrialResources) -> Iterator[None]:
    """Connect to the shared head, or to a private one with the threads and GPUs of this job.

    Raises:
        UserError: the head cannot be joined or started, or has no room for a trial.
    """
    with contextlib.ExitStack() as stack:
        if shared_address() is None:
            os.environ.update(stack.enter_context(head(resources.threads * resources.at_a_time, resources.gpus)))
            stack.callback(os.environ.pop, "RAY_ADDRESS")
        # Ray reads these when it is imported.
        os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
        # The banner of the newer output names a folder that is deleted after the run.
        os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
        # Otherwise Ray warns that a worker without a GPU will see all of them in a future version.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        # Ray would insist on the patch version of the head's Python, which a conda environment rarely has.
        os.environ.setdefault("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL", "minor")
        _connect(os.environ["RAY_ADDRESS"])
        import ray

        stack.callback(ray.shutdown)
        stack.enter_context(exit_if_head_lost(os.environ["RAY_ADDRESS"]))
        _check_room(resources)
        yield


def _connect(address: str) -> None:
    import ray
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled: mypy sees no names

    remedy = "start one with `mmran run`, or unset RAY_ADDRESS to let each job start its own"
    host, _, port = address.rpartition(":")
    try:
        # Ray itself would try for minutes.
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise UserError(f"RAY_ADDRESS={address}: no Ray head answers there ({error}); {remedy}") from error
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        # ray.init would retry for 20 s before it reports that authentication failed.
        GcsClient(address=address)
        ray.init(address=address, log_to_driver=False, logging_level="error", runtime_env=_runtime_environment())
        # Ray has replaced the handler with a silent exit.
        signal.signal(signal.SIGTERM, on_sigterm)
    except ray.exceptions.AuthenticationError as error:
        token = "is" if os.environ.get("RAY_AUTH_MODE") == "token" else "is not"
        raise UserError(
            f"RAY_ADDRESS={address}: authentication failed (RAY_AUTH_MODE=token {token} set, and RAY_AUTH_TOKEN must "
            f"be the head's); {remedy}"
        ) from error
    except Exception as error:
        # Another version of Ray or of Python, or not Ray at all; the cause, if there is one, has the reason.
        reason = " ".join(str(error.__cause__ or error).split())
        raise UserError(f"RAY_ADDRESS={address}: the head there cannot be joined ({reason}); {remedy}") from error


def _runtime_environment() -> dict[str, Any] | None:
    """This job's Python for its workers if the head has a different one; workers then start seconds later."""
    if os.environ.get(HEAD_PYTHON, python_identity()) == python_identity():
        return None
    return {"py_executable": sys.executable, "env_vars": {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}}


def _check_room(resources: TrialResources) -> None:
    """Refuse a trial that fits on no machine: Ray would wait silently for a larger one."""
    import ray

    asked = resources.for_ray()
    threads, gpus = asked["cpu"], asked["gpu"]
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(node.get("CPU", 0) >= threads and node.get("GPU", 0) >= gpus for node in nodes):
        return
    found = "; ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes)
    raise UserError(
        f"RAY_ADDRESS={os.environ['RAY_ADDRESS']}: a trial needs {threads:g} CPUs and {gpus:.3g} GPUs of one machine, "
        f"and its machines have {found}; lower threads or gpus, or add a larger machine"
    )
