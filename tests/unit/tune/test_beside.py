"""A command beside a head: its exit code, and the signals that reach it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

PASSING = """
import sys
from mmran.tune.beside import run_passing_signals
sys.exit(run_passing_signals(sys.argv[1:], {"GIVEN": "7"}))
"""


def start(*command: str, before: str = "") -> subprocess.Popen[str]:
    """The command beside no head, started by a shell that first does what `before` says."""
    shell = ["sh", "-c", f'{before} exec "$@"', "sh", sys.executable, "-c", PASSING, *command]
    return subprocess.Popen(shell, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed_signals)


def heed_signals() -> None:
    """Undo what the tests may have been started under, such as nohup or an ampersand."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def test_the_exit_code_and_the_environment_are_the_commands() -> None:
    process = start("sh", "-c", "exit $GIVEN")
    assert process.wait(30) == 7


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGTERM), (signal.SIGHUP, signal.SIGTERM)],
)
def test_a_signal_reaches_the_command_and_what_it_started(sent: signal.Signals, arrives: signal.Signals) -> None:
    process = start("sh", "-c", "sleep 60 & echo ready; wait; exit 9")
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.send_signal(sent)
    assert process.wait(30) == 128 + arrives
    # The sleep holds the pipe: it would not end before the sleep does.
    assert process.stdout.read() == ""


def test_a_run_in_the_background_passes_ctrl_c_on_too() -> None:
    # What a shell does to the commands behind an ampersand.
    process = start("sh", "-c", "echo ready; exec sleep 60", before="trap '' INT;")
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 128 + signal.SIGINT


def test_under_nohup_a_lost_terminal_changes_nothing() -> None:
    process = start("sh", "-c", "echo ready; sleep 1; exit 5", before="trap '' HUP;")
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    assert process.wait(30) == 5


EARLY = """
import os, signal, subprocess, sys
from mmran.tune.beside import run_passing_signals

def popen(*arguments, start=subprocess.Popen, **options):
    child = start(*arguments, **options)
    os.kill(os.getpid(), signal.SIGINT)
    return child

subprocess.Popen = popen
sys.exit(run_passing_signals(["sleep", "60"], {}))
"""


def test_ctrl_c_in_the_moment_in_which_the_command_starts_reaches_it() -> None:
    # Were it not passed on, Python itself would end by it: -SIGINT.
    done = subprocess.run([sys.executable, "-c", EARLY], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 128 + signal.SIGINT, done.stderr


def test_what_a_killed_command_leaves_running_is_ended() -> None:
    process = start("sh", "-c", "sleep 60 & echo ready; kill -9 $$")
    assert process.stdout
    process.stdout.readline()
    assert process.wait(30) == 128 + signal.SIGKILL
    assert process.stdout.read() == ""


@pytest.mark.parametrize("name", ["no-such-program", str(Path(__file__).parent)])
def test_a_command_that_cannot_be_run_is_one_line(name: str) -> None:
    _, said = start(name).communicate(timeout=30)
    assert said.strip().splitlines()[-1].startswith(f"mmran.errors.UserError: {name}: ")
