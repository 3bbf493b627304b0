"""Publishing a training's results: all of them, of what was trained, also when two publish at once."""

import multiprocessing
from pathlib import Path

import pandas as pd
import pytest

from mmran.files import sha256_file
from mmran.training.publish import publish
from mmran.training.record import RunRecord, read_runs
from mmran.training.trial import Trial
from tests.unit.training.trials import only_trial, train


@pytest.fixture(scope="module")
def finished(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    found = only_trial(tiny, tmp_path_factory.mktemp("work"), training={"epochs": 1})
    train(found)
    return found


def test_published_are_weights_histories_specification_and_records(finished: Trial, tmp_path: Path) -> None:
    publish([finished], "the specification as it was read\n", tmp_path)
    (record,) = read_runs(tmp_path / "runs.json")
    assert record == RunRecord.read(tmp_path / "trials" / "seed1029-fold0" / "run.json")
    assert sha256_file(tmp_path / "trials" / record.trial / "weights.safetensors") == record.weights_sha256
    assert pd.read_csv(tmp_path / "history.csv")[["seed", "fold", "epoch"]].to_numpy().tolist() == [[1029, 0, 0]]
    assert (tmp_path / "spec.json").read_text() == "the specification as it was read\n"


def test_trials_of_before_are_replaced(finished: Trial, tmp_path: Path) -> None:
    (tmp_path / "trials" / "seed1-fold0").mkdir(parents=True)
    (tmp_path / ".runs.json.x1y2.partial").write_text("half")
    publish([finished], "{}", tmp_path)
    assert [path.name for path in (tmp_path / "trials").iterdir()] == ["seed1029-fold0"]
    assert not list(tmp_path.glob("*.partial"))


def _publish_often(finished: Trial, output: Path) -> None:
    for _ in range(10):
        publish([finished], "{}", output)


@pytest.mark.slow
def test_two_that_publish_at_once_wait_for_each_other(finished: Trial, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_publish_often, args=(finished, tmp_path)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert len(read_runs(tmp_path / "runs.json")) == 1


def test_a_disk_without_hard_links_gets_copies(
    finished: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("os.link", refuse)
    publish([finished], "{}", tmp_path)
    target = tmp_path / "trials" / "seed1029-fold0" / "weights.safetensors"
    assert sha256_file(target) == sha256_file(finished.weights_path)
    assert target.stat().st_ino != finished.weights_path.stat().st_ino
