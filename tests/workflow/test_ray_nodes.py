"""Several machines, each simulated by a Ray node: one fails, and its trial continues on another."""

import contextlib
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from tests.unit.training.trials import EXPERIMENT
from tests.workflow.test_tuning import digests, environment, train_command, write_spec

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

Found = TypeVar("Found")


class Node:
    """A machine: `ray start`, as docs/cluster.md says, and all that it starts."""

    def __init__(self, folder: Path, reach: dict[str, str], *arguments: str) -> None:
        # Ray's sockets want a short path.
        self.temporary = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats", *arguments]
        command += [f"--temp-dir={self.temporary}"]
        # Three checks at .5 s and a machine counts as failed; by default it takes some 15 s.
        checks = {"RAY_health_check_period_ms": "500", "RAY_health_check_failure_threshold": "3"}
        self.log = folder / f"node{len(list(folder.glob('node*.log')))}.log"
        with self.log.open("w") as file:
            self.process = subprocess.Popen(
                command, env=environment() | reach | checks, stdout=file, stderr=file, start_new_session=True
            )

    def processes(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            start = psutil.Process(self.process.pid)
            return [start, *start.children(recursive=True)]
        return []

    def started(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return "Ray runtime started" in self.log.read_text()

    def fail(self) -> None:
        """Like a power failure: no process shuts down cleanly."""
        processes = self.processes()
        # Kill first what would notice that the others are gone.
        for process in sorted(processes, key=lambda process: "raylet" not in process.name()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=10)
        shutil.rmtree(self.temporary, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        return int(probe.getsockname()[1])


def until(question: Callable[[], Found], seconds: float = 60) -> Found:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := question():
            return answer
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def trains_here(node: Node, log: Path) -> bool:
    """Whether a process of the node writes a trial's log."""
    for process in node.processes():
        with contextlib.suppress(psutil.Error):
            if str(log) in {file.path for file in process.open_files()}:
                return True
    return False


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[dict[str, str], list[Node]]]:
    """The environment that reaches a head without CPUs, and two machines with one CPU each."""
    token = tmp_path / "token"
    token.write_text(secrets.token_hex(32) + "\n")
    reach = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    # All of 127.0.0.0/8 is this machine; 127.0.0.1 Ray would take for the machine's name in its network.
    address = f"127.0.0.2:{free_port()}"
    head = ["--head", "--node-ip-address=127.0.0.2", f"--port={address.rpartition(':')[2]}", "--num-cpus=0"]
    nodes = [Node(tmp_path, reach, *head)]
    try:
        until(nodes[0].started)
        for i in (3, 4):
            joining = [f"--address={address}", f"--node-ip-address=127.0.0.{i}", "--num-cpus=1"]
            nodes.append(Node(tmp_path, reach, *joining))
        for node in nodes:
            until(node.started)
        yield {"RAY_ADDRESS": address} | reach, nodes[1:]
    finally:
        for node in nodes:
            node.fail()


def test_a_trial_whose_machine_fails_continues_on_another_and_ends_with_the_same_bits(
    tiny: Path, tmp_path: Path, machines: tuple[dict[str, str], list[Node]]
) -> None:
    reach, nodes = machines
    spec = write_spec(tmp_path / "spec.json", training=EXPERIMENT["training"] | {"epochs": 20})
    plain, folder, said = tmp_path / "plain", tmp_path / "failed", tmp_path / "said.txt"
    with said.open("w") as file:
        training = subprocess.Popen(
            train_command(tiny, spec, folder, "--verbose"),
            env=environment() | reach,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    until(lambda: list((folder / "work").glob("*/latest.ckpt")))
    (log,) = (folder / "work").glob("*/train.log")
    (first,) = [node for node in nodes if trains_here(node, log)]
    (second,) = [node for node in nodes if node is not first]
    first.fail()
    assert "epoch 20/20" not in log.read_text(), "ended before its machine failed"
    uninterrupted = subprocess.Popen(train_command(tiny, spec, plain, "--no-ray"), env=environment())
    until(lambda: trains_here(second, log))
    assert training.wait(120) == 0, said.read_text()
    assert "continuing after epoch" in said.read_text()
    assert uninterrupted.wait(120) == 0
    assert digests(folder) == digests(plain)
