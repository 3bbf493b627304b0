"""A search on Ray: early stopping, bad draws, going on after an interruption; `snakemake search` beside the tables."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mmran.files import write_json
from tests.unit.training.trials import experiment
from tests.workflow.conftest import TINY, House
from tests.workflow.test_tuning import environment

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def search_command(tiny: Path, folder: Path, **changes: Any) -> list[str]:
    spec = folder / "search.json"
    searched = json.loads(experiment(training={"epochs": 6}).to_json())
    # Trials run in turn. This seed draws the lowest weight first, which scores best, so that later ones stop.
    values = {"experiment": searched, "trials": 5, "seed": 4, "grace_epochs": 2, "reduction_factor": 2}
    # 1e30 makes the loss overflow in the first steps.
    values["space"] = {"alpha": {"low": 0.1, "high": 0.9}, "learning_rate": [0.001, 0.001, 0.001, 1e30]}
    write_json(spec, values | changes)
    command = [sys.executable, "-m", "mmran", "search", "--spec", str(spec), "--output", str(folder / "out")]
    command += ["--store", str(tiny / "data" / "slices.h5"), "--split", str(tiny / "splits" / "paper.csv")]
    return [*command, "--work", str(folder / "work"), "--verbose"]


def trials(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "out" / "trials.csv")


def ran(command: list[str]) -> str:
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_worse_are_stopped_the_bad_draws_are_counted_and_a_killed_search_goes_on(
    tiny: Path, tmp_path: Path
) -> None:
    command = search_command(tiny, tmp_path)
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:
        if "epoch 3/6" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(1)

    assert "continuing after epoch" in ran(command)
    found = trials(tmp_path)
    assert found["trial"].tolist() == [f"search-{i:03d}" for i in range(5)]
    assert set(found["status"]) == {"complete", "stopped early", "failed"}
    assert (found["epochs"][found["status"] == "complete"] == 6).all()
    # Of two rungs, at 2 and 4 epochs.
    assert set(found["epochs"][found["status"] == "stopped early"]) <= {2, 4}
    assert (found["learning_rate"][found["status"] == "failed"] == 1e30).all()
    best = json.loads((tmp_path / "out" / "search.json").read_text())["best"]
    assert best["score"] == found["score"].max()
    assert not list((tmp_path / "work").glob("*/*.ckpt"))

    longer = ran(search_command(tiny, tmp_path, trials=6))
    assert longer.count("already trained, kept") == (found["status"] == "complete").sum()
    assert "search-005  epoch 1/6" in longer
    # What was stopped is stopped again by its history, without an epoch of training.
    stopped = found["trial"][found["status"] == "stopped early"]
    assert not [name for name in stopped if f"{name}  epoch" in longer]
    pd.testing.assert_frame_equal(trials(tmp_path)[:5], found)


def test_snakemake_search_is_beside_the_tables_and_runs_again_with_what_it_depends_on(house: House) -> None:
    search = {"experiment": "dynamic", "trials": 2, "seed": 1, "space": {"alpha": [0.3, 0.7]}}
    search |= {"grace_epochs": 1, "reduction_factor": 2, "resources": {}}
    house.configure(search=search)
    assert house.jobs() == set()
    done = house.snakemake("--cores", "2", "search")
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(house.path / "results" / "search" / "search.csv")
    assert table["row"].tolist() == ["Dynamic weights", "Best fixed weight found"]
    assert table["trainings"].tolist() == [1, 2]
    assert house.jobs("search") == set()

    house.configure(search=search | {"trials": 3})
    assert house.jobs("search") == {"search_trials", "search_report"}
    assert house.jobs() == set()
    longer = {"training": {"epochs": 2}}
    house.configure(search=search, experiments=TINY["experiments"] | {"dynamic": longer})  # type: ignore[operator]
    assert house.jobs("search") == {"train/dynamic/paper", "search_trials", "search_report"}
