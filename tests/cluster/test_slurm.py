"""The Slurm profile on a real Slurm: the local run's tables, and what becomes of jobs that do not end by themselves."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from mmran.config.load import load, overlay
from tests.cluster.conftest import PROFILE, QUICK, Job, compute_on_cpu, jobs
from tests.cluster.slurm import GPUS, NODES
from tests.workflow.conftest import ROOT, TINY, House, make_house

pytestmark = [pytest.mark.cluster, pytest.mark.workflow, pytest.mark.slow, pytest.mark.timeout(1800)]

LOCALLY = (sys.executable, "-m", "mmran", "run", "--cpus", "2", "--gpus", "0", "--")
SNAKEMAKE = (sys.executable, "-m", "snakemake")


def texts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def ran(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_table_2_of_a_short_demo_is_the_local_runs_byte_for_byte(slurm: Path, tmp_path: Path) -> None:
    demo = ("--configfile", "workflow/overlays/demo.yaml", "short.yaml")
    short = {"data": {"phantom": {"patients": 24}}, "defaults": {"training": {"epochs": 2}}}
    table = "results/demo/tables/paper/table2.csv"
    here, there = (make_house(tmp_path / name) for name in ("here", "it's there"))
    for house in (here, there):
        shutil.copy2(ROOT / "config.yaml", house.path)
        (house.path / "short.yaml").write_text(yaml.safe_dump(short))
    ran(here.run(*LOCALLY, *SNAKEMAKE, "--cores", "2", table, *demo))

    compute_on_cpu(there)
    defaults = {"resources": {"gpus": 1, "partition": "gpu", "runtime_minutes": 20}}
    values = {"defaults": defaults, "experiments": {"se": {"resources": {"memory_mb": 3000}}}}
    (there.path / "cluster.yaml").write_text(yaml.safe_dump(values))
    ran(there.snakemake(*QUICK, table, *demo, "cluster.yaml"))

    assert texts(there.path / "results/demo/tables/paper") == texts(here.path / "results/demo/tables/paper")
    trained = {job.what: job.values for job in jobs() if job.what.startswith("rule_train") and job.state == "COMPLETED"}
    assert len(trained) == 7
    assert {values["Partition"] for values in trained.values()} == {"gpu"}
    assert {values["TimeLimit"] for values in trained.values()} == {"00:20:00"}
    assert {values["TresPerJob"] for values in trained.values()} == {"gres:gpu:1"}
    memory = {what: values["MinMemoryNode"] for what, values in trained.items()}
    assert memory.pop("rule_train_wildcards_se_paper") == "3000M"
    assert set(memory.values()) == {"2000M"}
    assert most_at_once(trained) <= NODES * GPUS


def most_at_once(found: dict[str, dict[str, str]]) -> int:
    """How many jobs ran at one time; times are whole seconds, so one that ends as another starts counts once."""
    events = [(values[key], step) for values in found.values() for key, step in (("EndTime", -1), ("StartTime", 1))]
    running = most = 0
    for _, step in sorted(events):
        running += step
        most = max(most, running)
    return most


# What becomes of each training's first job; the last is what preemption does, and ends well under the same number.
INTERRUPTED = {"se": "CANCELLED", "scse": "FAILED", "dynamic": "TIMEOUT", "scse-msm": "COMPLETED"}
# A second a step until all of that has happened, so that it happens in mid-training on a machine of any speed.
SLOW_LOSS = """
import os
import time
from pathlib import Path

from mmran.training.losses import dice_loss


def dice(mask_logits, masks):
    go_on = os.environ.get("TESTS_GO_ON")
    if go_on and not Path(go_on).exists():
        time.sleep(1)
    return dice_loss(mask_logits, masks)
"""
SLOW = {"training": {"epochs": 20}, "loss": {"segmentation": "slow_loss:dice"}}
LONG: dict[str, Any] = {
    "defaults": overlay(overlay(load([ROOT / "config.yaml"]), TINY)["defaults"], SLOW),
    "experiments": {
        "se": {"network": {"attention": "se"}},
        "scse": {"network": {"attention": "scse"}},
        "dynamic": {"resources": {"runtime_minutes": 1}},  # the shortest limit that Slurm knows
        "scse-msm": {"network": {"attention": "scse-msm"}},
    },
    "tables": {
        "table2": {
            "title": "Ablation",
            "kind": "metrics",
            "metrics": ["dice", "acc", "hd95_mm"],
            "rows": [{"label": name, "experiment": name} for name in INTERRUPTED],
        }
    },
}


def test_cancelled_killed_out_of_time_or_preempted_they_are_seen_and_go_on(slurm: Path, tmp_path: Path) -> None:
    here, there = (make_house(tmp_path / name) for name in ("here", "it's there"))
    for house in (here, there):
        house.configure(**LONG)
        (house.path / "slow_loss.py").write_text(SLOW_LOSS)
    before = {job.number for job in jobs()}
    go_on = tmp_path / "go on"
    with (tmp_path / "snakemake.txt").open("w+") as output:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "TESTS_GO_ON": str(go_on)}
        run = subprocess.Popen(
            [*SNAKEMAKE, *QUICK], cwd=there.path, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            first = interrupt(there, run, before)
            # None of this may reach the jobs that are started from now on.
            there.configure(**LONG | {"experiments": {"se": {"training": {"epochs": 1}}}, "tables": {}})
            go_on.touch()
            assert run.wait(900) == 0, Path(output.name).read_text()
        finally:
            run.terminate()
        said = Path(output.name).read_text()

    for name, state in INTERRUPTED.items():
        assert job(first[name].number).state == state
        if state != "COMPLETED":
            assert f"SLURM-job '{first[name].number}' failed, SLURM status is: '{state}'" in said
        assert "continuing after epoch" in (there.path / f"results/logs/train/{name}-paper.log").read_text()
    assert job(first["scse-msm"].number).values["Restarts"] == "1"
    for name in ("se", "dynamic"):
        log = there.path / f".snakemake/slurm_logs/rule_train/{name}_paper/{first[name].number}.log"
        assert "mmran train: stopped by SIGTERM; finished work is kept" in log.read_text()
    ran(here.run(*LOCALLY, *SNAKEMAKE, "--cores", "2"))
    assert texts(there.path / "results/tables/paper") == texts(here.path / "results/tables/paper")
    assert {name: weights(there, name) for name in INTERRUPTED} == {name: weights(here, name) for name in INTERRUPTED}


def interrupt(house: House, run: subprocess.Popen[bytes], before: set[str]) -> dict[str, Job]:
    """Interrupt each training after its first epochs; returns its job."""
    trainings = {name: begun(house, name, run) for name in INTERRUPTED}
    what = {f"rule_train_wildcards_{name}_paper": name for name in INTERRUPTED}
    first = {what[job.what]: job for job in jobs() if job.what in what and job.number not in before}

    trainings["scse"].send_signal(signal.SIGKILL)
    subprocess.run(["scontrol", "requeue", first["scse-msm"].number], check=True)
    subprocess.run(["scancel", first["se"].number], check=True)
    began = time.monotonic()
    until(lambda: not trainings["se"].is_running(), run)
    # Of its own accord, before Slurm kills it 20 s after the SIGTERM.
    assert time.monotonic() - began < 15
    # Slurm lets a job that it has put back wait for two minutes.
    until(lambda: job(first["scse-msm"].number).state == "PENDING", run)
    subprocess.run(["scontrol", "update", f"JobId={first['scse-msm'].number}", "StartTime=now"], check=True)
    # Slurm looks at time limits twice a minute.
    until(lambda: job(first["dynamic"].number).state == "TIMEOUT", run)
    return first


def begun(house: House, name: str, run: subprocess.Popen[bytes]) -> psutil.Process:
    """Wait until a training has two epochs."""
    log = house.path / f"results/logs/train/{name}-paper.log"
    until(lambda: log.exists() and "epoch 2/" in log.read_text(), run)
    return next(p for p in psutil.process_iter(["cmdline"]) if is_training(p.info["cmdline"], name))


def is_training(command: list[str] | None, name: str) -> bool:
    return (
        (command or [])[1:3] == ["-m", "mmran"]
        and "train" in command
        and f"results/specs/experiments/{name}.json" in command
    )


def until(happened: Callable[[], bool], run: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 300
    while not happened():
        assert run.poll() is None, "ended before it was interrupted"
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.1)


def job(number: str) -> Job:
    return next(job for job in jobs() if job.number == number)


def weights(house: House, name: str) -> str:
    runs = json.loads((house.path / f"results/experiments/{name}/paper/runs.json").read_text())
    return str(runs[0]["weights_sha256"])


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (
            {"partition": "gpus"},
            "resources.partition of dynamic: no partition 'gpus'; did you mean 'gpu'? known: gpu, short",
        ),
        ({"gpus": 3}, "resources.gpus of dynamic: requests 3, but a job in partition 'gpu' can have at most 2"),
        ({"partition": "short", "runtime_minutes": 60}, "resources.runtime_minutes of dynamic: requests 60"),
    ],
    ids=["partition", "gpus", "time"],
)
def test_what_the_cluster_has_not_is_one_line_before_any_job(
    slurm: Path, tmp_path: Path, resources: dict[str, Any], message: str
) -> None:
    house = make_house(tmp_path)
    house.configure(experiments={"dynamic": {"resources": resources}}, tables={"table1": TINY["tables"]["table1"]})  # type: ignore[index]
    before = {job.number for job in jobs()}
    done = house.snakemake(*PROFILE)
    assert done.returncode == 1
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert {job.number for job in jobs()} <= before  # Slurm forgets old ones
