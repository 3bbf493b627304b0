"""A run is what it was when it began: a look writes nothing, and an edit during a run does not reach it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.workflow.conftest import TINY, House

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.mark.parametrize(
    "look",
    [("-n",), ("--list",), ("--lint",), ("--dag",), ("--summary",), ("--report", "report.zip")],
    ids=lambda look: look[0],
)
def test_a_look_writes_nothing_into_the_results(look: tuple[str, ...], finished: House) -> None:
    finished.configure(experiments=TINY["experiments"] | {"se": {"training": {"epochs": 2}}})
    before = contents(finished.path / "results")
    done = finished.snakemake(*look)
    assert "Traceback" not in done.stderr, done.stderr
    assert contents(finished.path / "results") == before


def test_a_run_that_the_lock_refuses_writes_nothing_into_the_results(finished: House) -> None:
    finished.configure(tables=TINY["tables"] | {"table1": TINY["tables"]["table1"] | {"title": "Methods"}})
    locks = finished.path / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("results/tables/paper/table1.csv\n")
    before = contents(finished.path / "results")
    done = finished.snakemake("--cores", "1")
    assert done.returncode != 0
    assert "unlock" in done.stdout + done.stderr
    assert contents(finished.path / "results") == before


# Run as Python starts: removes a file of the results after Snakemake found it, and before it asks for its time.
_REMOVED_IN_BETWEEN = """
import os
from snakemake.io import _IOFile

strict = _IOFile.mtime_uncached


async def late(file, *args, **options):
    if str(file).endswith("overview.html") and os.path.exists(file):
        os.unlink(file)
        open("removed", "w").close()
    return await strict(file, *args, **options)


_IOFile.mtime_uncached = late
"""


@pytest.mark.parametrize("look", [("-n",), ("--summary",), ("--dag",)], ids=lambda look: look[0])
def test_a_look_does_not_trip_over_a_file_that_a_job_of_a_run_has_just_removed(
    look: tuple[str, ...], finished: House
) -> None:
    (finished.path / "src/sitecustomize.py").write_text(_REMOVED_IN_BETWEEN)
    done = finished.snakemake(*look)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (finished.path / "removed").exists()


def titles(house: House) -> dict[str, str]:
    return {path.stem: path.read_text() for path in (house.path / "results/tables/paper").glob("*.md")}


def test_an_edit_and_a_look_during_a_run_do_not_reach_it(house: House) -> None:
    """Three tables one after the other; once the first is there, the configuration loses one and retitles another."""
    retitled = {name: table | {"title": f"Asked for {name}"} for name, table in TINY["tables"].items()}
    house.configure(tables=retitled)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    log = house.path / "run.txt"
    with log.open("w") as file:
        command = [sys.executable, "-m", "snakemake", "--cores", "1"]
        run = subprocess.Popen(command, cwd=house.path, env=environment, stdout=file, stderr=subprocess.STDOUT)
    while not any("Asked for" in text for text in titles(house).values()):
        assert run.poll() is None, log.read_text()
        time.sleep(0.05)
    later = {name: table | {"title": "Too late"} for name, table in TINY["tables"].items() if name != "table3"}
    house.configure(tables=later)
    assert house.jobs() == {"table/paper/table1", "table/paper/table2", "overview"}
    assert run.wait(300) == 0, log.read_text()
    for name in TINY["tables"]:
        assert f"Asked for {name}" in titles(house)[name]
        record = json.loads((house.path / f"results/records/table/paper/{name}.json").read_text())
        assert record["job"]["values"]["title"] == f"Asked for {name}"
    assert house.jobs() == {"table/paper/table1", "table/paper/table2", "overview"}
