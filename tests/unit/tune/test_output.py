"""What a training prints: one line on the terminal, everything in the log, the end of the log of a failure."""

import pickle
from pathlib import Path

import pytest

from mmran.errors import UserError
from mmran.training.trial import Trial
from mmran.tune.output import TRIAL_LOG, Output
from tests.unit.training.trials import experiment


def test_an_epoch_goes_to_the_log_and_a_result_to_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "new" / "train.log"
    with Output(log) as output:
        output.epoch("epoch 1/2")
        output.result("finished")
    assert log.read_text() == "epoch 1/2\nfinished\n"
    assert capsys.readouterr().out == "finished\n"


def test_verbose_prints_every_epoch_and_needs_no_log(capsys: pytest.CaptureFixture[str]) -> None:
    with Output(verbose=True) as output:
        output.epoch("epoch 1/2")
    assert capsys.readouterr().out == "epoch 1/2\n"


@pytest.mark.parametrize(
    ("error", "written"),
    [
        (UserError("no slices"), "error: no slices\n"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero\n\n"),
        (SystemExit(143), "interrupted; finished work is kept, and the same command continues from there\n"),
    ],
)
def test_the_error_that_ends_a_verb_is_in_its_log(tmp_path: Path, error: BaseException, written: str) -> None:
    with pytest.raises(type(error)), Output(tmp_path / "train.log"):
        raise error
    assert (tmp_path / "train.log").read_text().endswith(written)


def test_ten_lines_of_a_failed_trials_log_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trial = Trial(experiment(), 1, 0, tmp_path, tmp_path, "", "", tmp_path)
    trial.folder.mkdir()
    (trial.folder / TRIAL_LOG).write_text("".join(f"line {i}\n" for i in range(30)))
    Output().failed(trial)
    shown = capsys.readouterr().err.splitlines()
    assert shown == [f"{trial.folder / TRIAL_LOG}, last 10 lines:", *(f"  line {i}" for i in range(20, 30))]


def test_tune_can_pickle_an_output_with_an_open_log(tmp_path: Path) -> None:
    with Output(tmp_path / "train.log") as output:
        pickle.dumps(output)


def test_a_log_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--log .*: cannot be written \(is a directory\)"):
        Output(tmp_path)
