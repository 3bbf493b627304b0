"""The line for each finished training: how many are done, what it reached, and the time left."""

import logging
from pathlib import Path

import pytest

from mmran.config.reruns import judge
from mmran.data.splits import COLUMNS
from mmran.training.history import HistoryRow, write_history
from mmran.training.outcome import clock, outcome_of_all
from mmran.training.record import RunRecord, write_runs
from mmran.workflow.progress import Remaining, TrainingLines
from mmran.workflow.start import Run
from tests.unit.config.finished import small
from tests.unit.report.evaluated import run_record


def publish(folder: Path, *records: RunRecord) -> None:
    """What `mmran train` leaves of trainings of two epochs, the second of which is the best."""
    write_runs(folder / "runs.json", list(records))
    for k, record in enumerate(records):
        rows = [
            HistoryRow(i, "joint", dice, {"loss": 1.0}, val_dice=dice, val_acc=0.5, device="cpu", precision="float32")
            for i, dice in enumerate((0.1, 0.8 + k / 10))
        ]
        write_history(folder / "trials" / record.trial / "history.csv", rows)


def test_one_training_is_named_with_its_best_epoch(tmp_path: Path) -> None:
    publish(tmp_path, run_record(seconds=34.0, epochs=2, best_epoch=1))
    assert outcome_of_all(tmp_path) == "2 epochs in 0:34 min; best on validation: Dice 80.00 %, Acc 50.00 % (epoch 2)"


def test_several_trainings_are_summed_up(tmp_path: Path) -> None:
    records = [run_record(seed=seed, seconds=3600.0, epochs=2, best_epoch=1) for seed in (1, 2)]
    publish(tmp_path, *records)
    said = "2 trainings of 2 epochs, 2:00:00 h in all; mean of the best: Dice 85.00 %, Acc 50.00 %"
    assert outcome_of_all(tmp_path) == said


def test_a_clock_has_hours_where_there_are_any() -> None:
    assert [clock(seconds) for seconds in (0, 59.6, 3599, 3725)] == ["0:00 min", "1:00 min", "59:59 min", "1:02:05 h"]


def test_the_time_left_is_work_left_by_jobs_at_a_time() -> None:
    remaining = Remaining({"train": 4, "table": 2})
    assert remaining.seconds(0) is None
    remaining.start(1, "train", 0)
    remaining.start(2, "train", 0)
    assert remaining.seconds(10) is None  # nothing tells yet how long a training takes
    remaining.finish(1, 20)
    remaining.start(3, "train", 20)
    remaining.finish(2, 40)
    # Two of 4 trainings took 30 s on average; the third has run for 20 s, and the only one that lasted longer took 40:
    # 30 + 20 s are left. Tables are unknown and count nothing. In 40 s, 20 + 40 + 20 s of jobs have run: two at a time.
    assert remaining.seconds(40) == pytest.approx(25)
    assert remaining.trained == 2


def test_a_job_that_outlasts_the_mean_is_not_done() -> None:
    remaining = Remaining({"train": 3})
    for job, seconds in ((1, 10), (2, 50)):
        remaining.start(job, "train", 0)
        remaining.finish(job, seconds)
    remaining.start(3, "train", 50)
    # The mean of all is 30 s. It has run for 35, as only the one of 50 s did. In 85 s, 95 s of jobs have run.
    assert remaining.seconds(85) == pytest.approx(15 / (95 / 85))


def test_a_job_that_lasts_longer_than_usual_leaves_no_negative_time() -> None:
    remaining = Remaining({"train": 2})
    remaining.start(1, "train", 0)
    remaining.finish(1, 10)
    remaining.start(2, "train", 10)
    assert remaining.seconds(500) == 0


def test_a_job_that_never_started_here_is_no_failure() -> None:
    remaining = Remaining({"train": 1})
    remaining.finish(7, 10)
    assert remaining.trained == 0


SIZES = {("se", "patient"): 15.0, ("he", "patient"): 5.0, ("se", "paper"): 4.0, ("he", "paper"): 1.0}


def test_a_training_lasts_in_proportion_to_its_size() -> None:
    remaining = Remaining({"train": 4}, SIZES)
    remaining.start(1, "train", 0, ("se", "patient"))
    remaining.finish(1, 30)  # 2 s for each unit of size
    assert remaining.seconds(30) == pytest.approx(2 * (5 + 4 + 1))
    remaining.start(2, "train_predict_and_evaluate", 30, ("he", "patient"))
    # It will take 2 * 5 s, of which 3 have passed; the two under `paper` wait.
    assert remaining.seconds(33) == pytest.approx(2 * 5 - 3 + 2 * (4 + 1))


def test_a_run_of_fewer_trainings_counts_their_mean() -> None:
    remaining = Remaining({"train": 2}, SIZES)
    remaining.start(1, "train", 0, ("se", "patient"))
    remaining.finish(1, 30)
    assert remaining.seconds(30) == pytest.approx(2 * (5 + 4 + 1) / 3)


def test_images_are_counted_where_a_split_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Snakemake may train under one protocol before it splits under another."""
    monkeypatch.chdir(tmp_path)
    run = Run(None, small(evaluate_under=["patient", "paper"]))
    run._verdict = judge(run.config)
    assert run._images() == {}
    splits = tmp_path / "results" / "splits"
    splits.mkdir(parents=True)
    lines = [f"{i},P{i},F{i},1,0,{role}" for i, role in enumerate(("train", "train", "val", "test"), 1)]
    (splits / "paper.csv").write_text("\n".join([",".join(COLUMNS), *lines]))
    images = run._images()
    assert {protocol for _, protocol in images} == {"paper"}
    experiment = run.config.resolve("se")
    assert images["se", "paper"] == 2 * len(experiment.seeds) * experiment.training.epochs


def event(name: str, **values: object) -> logging.LogRecord:
    return logging.makeLogRecord({"event": name, **values})


def test_a_line_is_printed_for_each_finished_training_and_for_no_other_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(tmp_path / "experiments" / "se" / "paper", run_record(seconds=34.0, epochs=2, best_epoch=1))
    lines = TrainingLines(tmp_path, lambda: {("se", "paper"): 2.0, ("gone", "paper"): 1.0})
    lines.emit(event("run_info", stats={"train": 2, "split": 1, "total": 3}))
    lines.emit(event("job_info", jobid=5, rule_name="split", wildcards={"protocol": "paper"}))
    lines.emit(event("job_finished", job_id=5))
    assert capsys.readouterr().err == ""
    for job, name in ((6, "se"), (7, "gone")):
        lines.emit(event("job_info", jobid=job, rule_name="train", wildcards={"experiment": name, "protocol": "paper"}))
        lines.emit(event("job_finished", job_id=job))
    first, second = capsys.readouterr().err.splitlines()
    reached = "2 epochs in 0:34 min; best on validation: Dice 80.00 %, Acc 50.00 % (epoch 2)"
    assert first == f"1/2 se, paper: {reached}; about 0:00 min left"
    assert second == "2/2 gone, paper: trained; about 0:00 min left"
