"""SIGTERM ends a verb soon, with one line."""

import signal
import subprocess
import sys
import time

import pytest

# `hangs` waits where Python calls no handlers, as Ray's library does when its daemon has gone.
PROGRAM = """
import ctypes, sys, time
from mmran.cli import stopping
stopping.GRACE_SECONDS = 1
with stopping.ends_on_sigterm("train"):
    print("ready", flush=True)
    {body}
"""
BODIES = {
    "waits": "time.sleep(60)",
    "hangs": "ctypes.CDLL(None).system(b'exec sleep 15 > /dev/null 2>&1')",
    "swallows": """try:
        time.sleep(60)
    except BaseException:
        sys.exit(1)""",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_sigterm_is_one_line_and_exit_code_143_whatever_the_code_does(body: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=15)
    assert process.returncode == 143
    assert said == "mmran train: stopped by SIGTERM; finished work is kept, and the same command continues from there\n"


@pytest.mark.slow
def test_a_verb_that_handles_sigterm_itself_continues() -> None:
    body = 'import signal; signal.signal(15, lambda *_: None); print("set", flush=True); time.sleep(3); sys.exit(7)'
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["ready\n", "set\n"]
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=15)
    assert (process.returncode, said) == (7, "")
