"""What trainings add up to, and how `mmran plan` says so."""

import json
from pathlib import Path
from typing import Any

import pytest

from mmran.cli import main
from mmran.planning.text import duration
from mmran.planning.totals import finish_hours
from mmran.planning.train_jobs import TrainJob

ROOT = Path(__file__).resolve().parents[3]


def training(hours: float, trials: int = 1, **changes: Any) -> TrainJob:
    values: dict[str, Any] = {"experiment": "one", "protocol": "paper", "trials": trials, "finished": 0, "epochs": 1}
    values |= {"hours": hours, "images_per_s": 1.0, "basis": "estimate", "where": "", "parameters": 1}
    values |= {"gpus": 1, "threads": 1, "trials_per_gpu": 1, "memory_mb": 1, "runtime_minutes": 1}
    values |= {"peak_memory_mb": None, "checkpoint_bytes": 1, "test_slices": 1, "published": False, "evaluated": False}
    return TrainJob(**values | changes)


def test_the_longest_training_starts_first_and_each_takes_the_first_gpu_that_is_free() -> None:
    # 3 and 3 start; at 3 two of the 2s, at 5 the last: 7, where 6 would be the best there is.
    trainings = [training(2, trials=3), training(3, trials=2)]
    assert finish_hours(trainings, 2, 1) == 7
    assert finish_hours(trainings, 1, 1) == 12
    assert finish_hours(trainings, 9, 1) == 3
    # 2 beside 1 and 1; the other way round it would be 3.
    assert finish_hours([training(1, trials=2), training(2)], 2, 1) == 2
    assert finish_hours([training(3, trials=2, finished=2)], 1, 1) == 0


def test_trainings_that_share_a_gpu_run_side_by_side() -> None:
    thirds = training(1, trials=7, trials_per_gpu=3)
    assert finish_hours([thirds], 1, 1) == 3
    assert finish_hours([thirds], 2, 1) == 2
    assert thirds.device_hours == pytest.approx(7 / 3)


def test_trainings_on_processors_share_the_cores_of_the_machine() -> None:
    two_threads = training(1, trials=4, gpus=0, threads=2)
    assert finish_hours([two_threads], 1, 4) == 2
    assert finish_hours([two_threads], 1, 2) == 4
    # Snakemake scales down what asks for more than there is, and half of the threads take twice as long.
    assert finish_hours([two_threads], 1, 1) == 8
    assert two_threads.device_hours == 8


def test_a_job_runs_its_folds_one_after_the_other_unless_its_gpus_hold_several() -> None:
    assert training(2, trials=5, finished=1).job_hours == 8
    assert training(2, trials=5, gpus=2).job_hours == 6
    assert training(2, trials=5, trials_per_gpu=5).job_hours == 2
    assert training(2, trials=5, gpus=0, threads=8).job_hours == 10


@pytest.mark.parametrize(("hours", "said"), [(0.01, "36 s"), (0.5, "30 min"), (1.4, "84 min"), (36.04, "36.0 h")])
def test_a_duration_is_said_in_a_unit_that_can_be_grasped(hours: float, said: str) -> None:
    assert duration(hours) == said


@pytest.fixture
def where(tmp_path: Path) -> list[str]:
    """Arguments of a plan over one small table."""
    small = tmp_path / "small.yaml"
    small.write_text(
        "{source: cheng, evaluate_under: [paper, patient], defaults: {resources: {gpus: 1, runtime_minutes: 1},"
        " network: {width: 0.125}, input: {size: 64}}}"
    )
    return ["plan", "--config", str(ROOT / "config.yaml"), str(small), "--results", str(tmp_path / "new")]


@pytest.mark.slow
@pytest.mark.slow
def test_the_verb_counts_jobs_hours_and_disk_and_writes_nothing(
    where: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*where, "--gpus", "4", "--json"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("{")
    found = json.loads(text)
    assert found["jobs"] == {
        **{"convert": 1, "verify": 1, "split": 2, "train": 64, "predict": 64, "evaluate": 64},
        # Eight tables and nine figures under two protocols, each with its nearest slice and its comparisons.
        **{"nearest_slice": 2, "compare": 2, "networks": 1, "table": 16, "figure": 18, "overview": 1},
    }
    assert found["gpu_hours"] == pytest.approx(sum(one["device_hours"] for one in found["trainings"]))
    assert found["gpu_hours"] / 4 <= found["finish_hours"] <= found["gpu_hours"]
    # Names of one training are one: 30 experiments of one seed and two of three, once and in each of five folds.
    assert sum(one["left"] for one in found["trainings"]) == (30 + 2 * 3) * (1 + 5)
    # 3064 slices of 512 x 512, three bytes a pixel.
    assert found["disk_bytes"]["slices"] == 3064 * 512 * 512 * 3
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_the_verb_says_what_is_an_estimate_and_which_limit_is_too_short(
    where: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*where, "--gpus", "4", "--tflops", "0.1"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "estimate: operations of a training step at an assumed 0.1 x 10^12 per second of a GPU (--tflops)" in text
    assert "GPU-hours for 216 trainings" in text
    assert "on 4 GPUs" in text
    assert "resources.runtime_minutes is 1 (60 s), but on Slurm these jobs need longer: " in text
    assert " more; each retry continues from the last checkpoint" in text


@pytest.mark.slow
def test_on_a_terminal_the_trainings_stand_in_a_table_with_rules(
    where: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"TTY_COMPATIBLE": "1", "NO_COLOR": "1", "COLUMNS": "160"}.items():
        monkeypatch.setenv(name, value)
    assert main(where) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("┏")
    assert sum(line.startswith("│ mmran ") for line in lines) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--gpus", "0"], "--gpus 0: expected more than 0; to train on CPUs, set resources.gpus: 0"),
        (["--cores", "-1"], "--cores -1: expected more than 0"),
        (["--tflops", "nan"], "--tflops nan: expected more than 0"),
        (["--measured", "nowhere"], "--measured nowhere: no finished training there"),
    ],
)
def test_a_wrong_argument_is_said_in_one_line(
    where: list[str], capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main([*where, *arguments]) == 1
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith(f"mmran plan: {said}")
    assert found.err.count("\n") == 1


def test_a_typo_in_the_configuration_is_said_in_one_line(
    where: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        "tables: {table9: {title: x, kind: metrics, metrics: [dice], rows: [{label: x, experiment: mmram}]}}"
    )
    assert main([*where[:3], str(wrong), *where[4:]]) == 1
    found = capsys.readouterr().err
    assert found.startswith("mmran plan: config: tables.table9: no experiment 'mmram'; did you mean 'mmran'?")
    assert found.count("\n") == 1
