"""MLflow: each trial is a run with its parameters and the scalars of its epochs, where MLFLOW_TRACKING_URI is set.

MLflow's own environment variables decide server, experiment, and credentials. A trial that continues also continues its
run, which it finds by its digest. Nothing here stops a training: a failure is one warning, and ends the tracking.
"""

import importlib.util
import os
import re
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from mmran.errors import reason
from mmran.training.history import HistoryRow
from mmran.training.scalars import scalars
from mmran.training.trial import Trial

URI, EXPERIMENT_NAME, EXPERIMENT_ID = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"
DEFAULT_EXPERIMENT = "mmran"
_PREFIX = "MLFLOW_"
DIGEST_TAG = "mmran.digest"

_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""MLflow's own defaults wait minutes for a server that is down, and a GPU would wait with them."""
_CREDENTIALS = re.compile(r"//[^/@\s]+@")
"""User and password of an address."""
_LONGEST_VALUE = 500
"""Characters of a parameter that every MLflow server accepts."""


class TrackedRun:
    """The MLflow run of one trial; a context manager that ends it."""

    def __init__(self, trial: Trial, log: Callable[[str], None]) -> None:
        """Prepare to track; connects with the first epoch.

        Args:
            trial: what is trained.
            log: receives the warning if the trial cannot be tracked.
        """
        self._trial, self._log = trial, log
        self._client: Any = None
        self._run = ""
        self._off = not os.environ.get(URI)
        if not self._off and importlib.util.find_spec("mlflow") is None:
            self._give_up("mlflow is not installed; run `pip install mlflow-skinny`")

    def __enter__(self) -> Self:
        return self

    def write(self, row: HistoryRow) -> None:
        """Track one epoch."""
        self._try(lambda: self._write(row))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._run:
            failed = "FAILED" if isinstance(error, Exception) else "KILLED"
            self._try(lambda: self._client.set_terminated(self._run, "FINISHED" if error is None else failed))

    def _write(self, row: HistoryRow) -> None:
        from mlflow.entities import Metric

        if not self._run:
            self._connect()
        now = round(time.time() * 1000)
        metrics = [Metric(name, value, now, row.epoch) for name, value in scalars(row).items()]
        self._client.log_batch(self._run, metrics=metrics)

    def _connect(self) -> None:
        """Find the run that an earlier process began, or begin one."""
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        self._client = MlflowClient()
        experiment = os.environ.get(EXPERIMENT_ID) or self._experiment()
        same = f"tags.`{DIGEST_TAG}` = '{self._trial.digest}'"
        found = self._client.search_runs([experiment], filter_string=same, max_results=1)
        if found:
            self._run = found[0].info.run_id
            self._client.update_run(self._run, status="RUNNING")
            return
        from mlflow.entities import Param

        trial = self._trial
        name = f"{trial.experiment.name} {trial.split.stem} {trial.name}"
        run = self._client.create_run(experiment, run_name=name, tags={DIGEST_TAG: trial.digest})
        self._run = run.info.run_id
        self._client.log_batch(self._run, params=[Param(*one) for one in parameters(trial).items()])

    def _experiment(self) -> str:
        """Id of the MLflow experiment; made if it is absent."""
        name = os.environ.get(EXPERIMENT_NAME) or DEFAULT_EXPERIMENT
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(name))
        except Exception:
            # A trial beside this one may have made it meanwhile.
            if found := self._client.get_experiment_by_name(name):
                return str(found.experiment_id)
            raise

    def _try(self, act: Callable[[], None]) -> None:
        """Do something with MLflow unless it has failed before."""
        if self._off:
            return
        try:
            act()
        except Exception as error:
            # A server may fail in any way, and no training depends on it.
            self._give_up(reason(error)[:_LONGEST_VALUE])

    def _give_up(self, why: str) -> None:
        self._off = True
        without_password = _CREDENTIALS.sub("//", why)
        name = f"{self._trial.experiment.name} {self._trial.name}"
        self._log(f"warning: {name}: {URI} is set, but MLflow does not track this training: {without_password}")


def mlflow_variables() -> dict[str, str]:
    """The variables of this process that MLflow reads."""
    return {name: value for name, value in os.environ.items() if name.startswith(_PREFIX)}


def use_mlflow_variables(variables: Mapping[str, str]) -> None:
    """Give this process the variables of another: a Ray worker has those of the head, which may be older."""
    for name in mlflow_variables():
        del os.environ[name]
    os.environ.update(variables)


def parameters(trial: Trial) -> dict[str, str]:
    """What an MLflow run says of a trial: the values of its specification, seed, fold, and digests."""
    values = trial.experiment.to_values()
    found = {key: value for key, value in values.items() if key not in ("name", "seeds", "code")}
    found |= {"experiment": trial.experiment.name, "protocol": trial.split.stem}
    found |= {"seed": trial.seed, "fold": trial.fold}
    found |= {"data": trial.data_digest, "split": trial.split_digest, "digest": trial.digest}
    return {name: str(value)[:_LONGEST_VALUE] for name, value in _flat(found).items()}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
