"""MLflow: one run per trial, continued with the trial, and never a reason for a training to stop."""

import importlib.util
import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from mmran.training.mlflow_run import (
    DIGEST_TAG,
    EXPERIMENT_NAME,
    URI,
    TrackedRun,
    mlflow_variables,
    parameters,
    use_mlflow_variables,
)
from mmran.training.trial import Trial
from tests.unit.training.test_scalars import row
from tests.unit.training.trials import Stopped, equal, only_trial, stop_after, train

ADDRESS = "http://me:secret@mlflow.example"


class Server:
    """What a server knows: runs by id, and the calls that it refuses."""

    def __init__(self) -> None:
        self.experiments: list[str] = []
        self.runs: dict[str, dict[str, Any]] = {}
        self.down = False


class Client:
    """The part of MLflow's client that mmran uses."""

    server: Server

    def get_experiment_by_name(self, name: str) -> Any:
        if self.server.down:
            raise ConnectionError(f"{ADDRESS} is down\nfor now")
        names = self.server.experiments
        return types.SimpleNamespace(experiment_id=str(names.index(name))) if name in names else None

    def create_experiment(self, name: str) -> str:
        self.server.experiments.append(name)
        return str(len(self.server.experiments) - 1)

    def search_runs(self, experiment_ids: list[str], filter_string: str, max_results: int) -> list[Any]:
        found = [
            types.SimpleNamespace(info=types.SimpleNamespace(run_id=key))
            for key, run in self.server.runs.items()
            if run["experiment"] in experiment_ids
            and filter_string == f"tags.`{DIGEST_TAG}` = '{run['tags'][DIGEST_TAG]}'"
        ]
        return found[:max_results]

    def create_run(self, experiment_id: str, run_name: str, tags: dict[str, str]) -> Any:
        key = f"run{len(self.server.runs)}"
        self.server.runs[key] = {"experiment": experiment_id, "name": run_name, "tags": tags}
        self.server.runs[key] |= {"params": {}, "metrics": {}, "status": "RUNNING"}
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=key))

    def update_run(self, run_id: str, status: str) -> None:
        self.server.runs[run_id]["status"] = status

    def set_terminated(self, run_id: str, status: str) -> None:
        self.server.runs[run_id]["status"] = status

    def log_batch(self, run_id: str, metrics: tuple[Any, ...] = (), params: tuple[Any, ...] = ()) -> None:
        if self.server.down:
            raise ConnectionError("down")
        run = self.server.runs[run_id]
        for name, value in params:
            assert run["params"].setdefault(name, value) == value  # as a server refuses to change one
        for name, value, _, step in metrics:
            run["metrics"].setdefault(name, {})[step] = value


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A stand-in for MLflow, where its address leads to it."""
    found = Server()
    client = type("MlflowClient", (Client,), {"server": found})
    module, entities = types.ModuleType("mlflow"), types.ModuleType("mlflow.entities")
    module.MlflowClient = client  # type: ignore[attr-defined]
    module.__spec__ = importlib.util.spec_from_loader("mlflow", None)
    entities.Metric = entities.Param = lambda *values: values  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    monkeypatch.setenv(URI, ADDRESS)
    for name in (EXPERIMENT_NAME, "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    return found


@pytest.fixture
def trial(tiny: Path, tmp_path: Path) -> Trial:
    return only_trial(tiny, tmp_path / "work")


def tracked(trial: Trial, *epochs: int, loss: float = 1.0) -> list[str]:
    """Track epochs, and return what was said."""
    said: list[str] = []
    with TrackedRun(trial, said.append) as run:
        for epoch in epochs:
            run.write(row(epoch, loss))
    return said


def interrupted(trial: Trial, error: BaseException) -> None:
    """Track one epoch of a training that an exception ends."""
    with TrackedRun(trial, print) as run:
        run.write(row(0, 1.0))
        raise error


def test_a_trial_is_a_run_with_parameters_scalars_and_its_digest(server: Server, trial: Trial) -> None:
    assert tracked(trial, 0, 1) == []
    (run,) = server.runs.values()
    assert server.experiments == ["mmran"]
    assert (run["name"], run["status"]) == ("tiny paper seed1029-fold0", "FINISHED")
    assert run["tags"] == {DIGEST_TAG: trial.digest}
    assert run["metrics"]["train/loss"] == {0: 1.0, 1: 1.0}
    assert run["metrics"]["val/dice"] == {0: 0.25, 1: 0.25}
    wanted = {"network.name": "mmran", "network.attention": "mram", "seed": "1029", "fold": "0", "protocol": "paper"}
    assert wanted.items() <= run["params"].items()
    assert (run["params"]["data"], run["params"]["digest"]) == (trial.data_digest, trial.digest)
    assert not [name for name in run["params"] if name.startswith("code")]


def test_a_trial_that_continues_continues_its_run(server: Server, trial: Trial) -> None:
    with pytest.raises(Stopped):
        interrupted(trial, Stopped())
    assert [run["status"] for run in server.runs.values()] == ["FAILED"]
    tracked(trial, 1, loss=0.5)
    (run,) = server.runs.values()
    assert (run["status"], run["metrics"]["train/loss"]) == ("FINISHED", {0: 1.0, 1: 0.5})


def test_an_interrupted_run_is_killed(server: Server, trial: Trial) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(trial, KeyboardInterrupt())
    assert [run["status"] for run in server.runs.values()] == ["KILLED"]


def test_mlflows_variables_choose_the_experiment(server: Server, trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EXPERIMENT_NAME, "gliomas")
    tracked(trial, 0)
    assert server.experiments == ["gliomas"]
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "17")
    tracked(trial, 0)
    assert [run["experiment"] for run in server.runs.values()] == ["0", "17"]


def test_a_server_that_is_down_is_one_warning_without_the_password(server: Server, trial: Trial) -> None:
    server.down = True
    (said,) = tracked(trial, 0, 1, 2)
    assert said.startswith("warning: tiny seed1029-fold0: MLFLOW_TRACKING_URI is set, but MLflow does not track")
    assert "ConnectionError: http://mlflow.example is down for now" in said
    assert "secret" not in said


def test_a_server_that_goes_down_later_is_one_warning(server: Server, trial: Trial) -> None:
    said: list[str] = []
    with TrackedRun(trial, said.append) as run:
        run.write(row(0, 1.0))
        server.down = True
        run.write(row(1, 1.0))
        server.down = False
        run.write(row(2, 1.0))
    assert len(said) == 1
    assert next(iter(server.runs.values()))["metrics"]["train/loss"] == {0: 1.0}


def test_without_mlflow_it_is_one_warning_with_the_remedy(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URI, ADDRESS)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (said,) = tracked(trial, 0, 1)
    assert "mlflow is not installed; run `pip install mlflow-skinny`" in said


def test_without_the_variable_nothing_is_tracked(server: Server, trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URI)
    assert tracked(trial, 0) == []
    assert server.runs == {}


def test_a_worker_takes_over_the_variables_of_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URI, "of the driver")
    monkeypatch.delenv(EXPERIMENT_NAME, raising=False)
    driver = mlflow_variables()
    monkeypatch.setenv(URI, "of the head")
    monkeypatch.setenv(EXPERIMENT_NAME, "of the head")
    use_mlflow_variables(driver)
    assert mlflow_variables() == driver
    use_mlflow_variables({})
    assert URI not in os.environ


def test_parameters_are_short_enough_for_any_server(trial: Trial) -> None:
    assert all(len(value) <= 500 for value in parameters(trial).values())


@pytest.mark.slow
@pytest.mark.parametrize("down", [False, True])
def test_tracking_changes_no_weights(
    server: Server, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, down: bool
) -> None:
    server.down = down
    followed = only_trial(tiny, tmp_path / "followed")
    with pytest.raises(Stopped):
        train(followed, on_epoch=stop_after(1))
    weights = train(followed)
    assert [sorted(run["metrics"]["val/dice"]) for run in server.runs.values()] == ([] if down else [[0, 1, 2]])
    monkeypatch.delenv(URI)
    alone = only_trial(tiny, tmp_path / "alone")
    assert alone.digest == followed.digest
    assert equal(weights, train(alone))


@pytest.mark.slow
def test_mlflow_itself_stores_the_run(trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow-skinny is not installed")
    monkeypatch.setenv(URI, (tmp_path / "runs").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # the package without a database has no other
    for epoch in (0, 1):
        assert tracked(trial, epoch) == []
    client = mlflow.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("mmran").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["network.name"] == "mmran"
    assert run.data.tags[DIGEST_TAG] == trial.digest
    assert [one.step for one in client.get_metric_history(run.info.run_id, "val/dice")] == [0, 1]
