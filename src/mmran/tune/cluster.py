"""The connection to a Ray head: the one that a run shares, or one of this job's own."""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mmran.errors import UserError
from mmran.tune.head import HEAD_PYTHON, ends_without, head


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


@contextlib.contextmanager
def connected(share: Share) -> Iterator[None]:
    """Connect to the head that RAY_ADDRESS names, or to one of this job's own, with its threads and GPUs."""
    with contextlib.ExitStack() as stack:
        if "RAY_ADDRESS" not in os.environ:
            # Where there are GPUs, it is they who decide how many trials run at a time.
            at_a_time = max(1, share.gpus * share.trials_per_gpu)
            os.environ.update(stack.enter_context(head(share.threads * at_a_time, share.gpus)))
            stack.callback(os.environ.pop, "RAY_ADDRESS")
        # Ray reads these when it is imported.
        os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
        # The banner of the newer output names a folder that is removed after the run.
        os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
        # Otherwise Ray warns that a worker without a GPU will in future see them all.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        # A conda environment rarely has the last digit of the Python that runs the head; Ray would insist on it.
        os.environ.setdefault("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL", "minor")
        _connect(os.environ["RAY_ADDRESS"])
        import ray

        stack.callback(ray.shutdown)
        stack.enter_context(ends_without(os.environ["RAY_ADDRESS"]))
        _check_room(share)
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
        # ray.init would repeat this for 20 s before it says that it is not let in.
        GcsClient(address=address)
        ray.init(address=address, log_to_driver=False, logging_level="error", runtime_env=_environment())
        # Ray has put a silent exit in its place.
        signal.signal(signal.SIGTERM, on_sigterm)
    except ray.exceptions.AuthenticationError as error:
        token = "is" if os.environ.get("RAY_AUTH_MODE") == "token" else "is not"
        raise UserError(
            f"RAY_ADDRESS={address}: the head there does not let us in (RAY_AUTH_MODE=token {token} set, and "
            f"RAY_AUTH_TOKEN must be the head's); {remedy}"
        ) from error
    except Exception as error:
        # Another version of Ray or of Python, or no Ray at all; the reason is in the cause where there is one.
        reason = " ".join(str(error.__cause__ or error).split())
        raise UserError(f"RAY_ADDRESS={address}: the head there cannot be joined ({reason}); {remedy}") from error


def _environment() -> dict[str, Any] | None:
    """This job's environment for its workers, where it is not the head's; it costs them seconds to start."""
    if os.environ.get(HEAD_PYTHON, sys.executable) == sys.executable:
        return None
    return {"py_executable": sys.executable, "env_vars": {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}}


def _check_room(share: Share) -> None:
    """Refuse what no machine can ever lease: Ray would wait for such a machine without a word."""
    import ray

    asked = share.resources()
    threads, gpus = asked["cpu"], asked["gpu"]
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(node.get("CPU", 0) >= threads and node.get("GPU", 0) >= gpus for node in nodes):
        return
    there = "; ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes)
    raise UserError(
        f"RAY_ADDRESS={os.environ['RAY_ADDRESS']}: a trial takes {threads:g} CPUs and {gpus:.3g} GPUs of one machine, "
        f"and its machines have {there}; lower threads or gpus, or let a larger machine join"
    )
