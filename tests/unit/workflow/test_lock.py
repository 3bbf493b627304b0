"""Locks of a Snakemake that was killed: removed when they are our own, left when they may be another's."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmran.workflow.lock import released_if_killed


def lock(folder: Path, name: str) -> Path:
    path = folder / ".snakemake" / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("results/a\n")
    return path


def command(folder: Path) -> list[str]:
    return ["snakemake", "--cores", "1", "--directory", str(folder)]


def test_what_the_command_leaves_is_removed_and_what_was_there_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = lock(tmp_path, "0.input.lock")
    with released_if_killed(command(tmp_path)):
        ours = lock(tmp_path, "1.input.lock")
    assert theirs.exists()
    assert not ours.exists()
    assert capsys.readouterr().err == f"{tmp_path}: unlocked; the Snakemake that held it was killed\n"


def test_a_command_that_ends_tidily_is_no_news(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with released_if_killed(command(tmp_path)):
        lock(tmp_path, "0.output.lock").unlink()
    assert capsys.readouterr().err == ""


def record(folder: Path, host: str) -> Path:
    """What a run leaves that was killed together with its Snakemake."""
    path = folder / ".snakemake" / "mmran-run.json"
    path.write_text(json.dumps({"host": host, "before": ["0.input.lock"]}))
    return path


@pytest.mark.parametrize(("host", "stays"), [(socket.gethostname(), False), ("elsewhere", True)])
def test_locks_of_an_earlier_run_on_this_machine_are_removed_first(tmp_path: Path, host: str, stays: bool) -> None:
    theirs, ours = lock(tmp_path, "0.input.lock"), lock(tmp_path, "1.input.lock")
    record(tmp_path, host)
    with released_if_killed(command(tmp_path)):
        assert (theirs.exists(), ours.exists()) == (True, stays)


def test_nothing_is_unlocked_while_a_snakemake_is_alive_there(tmp_path: Path) -> None:
    program = tmp_path / "snakemake"
    program.write_text("import time; print(flush=True); time.sleep(60)")
    process = subprocess.Popen([sys.executable, str(program)], cwd=tmp_path, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    with released_if_killed(command(tmp_path)):
        ours = lock(tmp_path, "0.input.lock")
    assert ours.exists()
    process.kill()
    process.wait()


def test_other_programs_leave_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with released_if_killed(["make", "snakemake-like", "x"]):
        pass
    assert not list(tmp_path.iterdir())


def test_two_runs_in_one_directory_leave_each_others_locks(tmp_path: Path) -> None:
    program = (
        "import sys, time; from mmran.workflow.lock import released_if_killed\n"
        "with released_if_killed(['snakemake', '--directory', sys.argv[1]]): print(flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    theirs = lock(tmp_path, "0.input.lock")
    with released_if_killed(command(tmp_path)):
        pass
    assert theirs.exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.05)
    with released_if_killed(command(tmp_path)):
        assert not theirs.exists()
