"""Snakemake with --use-conda, on a stand-in for conda: which Python runs the jobs, and what a switch to it reruns."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflow import standin_conda
from tests.workflow.conftest import TINY, House, make_house

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

VERBS = (
    *("phantom", "convert", "verify", "split", "train"),  # which predicts and evaluates too
    *("nearest-slice", "compare", "table", "overview"),
)
PROFILES = [(), ("--workflow-profile", "workflow/profiles/slurm")]


@pytest.fixture(scope="module")
def conda(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A conda whose base is active, as after `conda init`, and before it on PATH the virtual environment in use."""
    base = tmp_path_factory.mktemp("base") / "miniforge3"
    with pytest.MonkeyPatch.context() as patch:
        places = (str(Path(sys.executable).parent), str(standin_conda.install(base)), os.environ["PATH"])
        patch.setenv("PATH", os.pathsep.join(places))
        patch.setenv("CONDA_PREFIX", str(base))
        patch.setenv("CONDA_SHLVL", "1")
        yield base


@pytest.fixture(scope="module")
def in_conda(conda: Path, tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house with one experiment and one table, run with --use-conda beside a shared head; not to be edited."""
    house = make_house(tmp_path_factory.mktemp("conda") / "house")
    tables = {"table1": TINY["tables"]["table1"]}
    house.configure(experiments={"dynamic": {}}, tables=tables, search=None)
    beside_head = ("-m", "mmran", "run", "--cpus", "2", "--gpus", "0", "--", sys.executable)
    done = house.run(sys.executable, *beside_head, "-m", "snakemake", "--cores", "2", "--use-conda")
    assert done.returncode == 0, done.stdout + done.stderr
    return house


def environment(house: House) -> Path:
    (folder,) = [path for path in (house.path / ".snakemake" / "conda").iterdir() if path.is_dir()]
    return folder


def verb(words: list[str]) -> str:
    """The verb after the specifications of its jobs."""
    return verb(words[2:]) if words[0] == "--job" else words[0]


def test_every_job_runs_in_the_environment(in_conda: House) -> None:
    started = standin_conda.starts(environment(in_conda))
    verbs = [verb(words[2:]) for words in started if words[:3] == ["-m", "mmran", "--job"]]
    assert sorted(verbs) == sorted(VERBS)


def test_the_package_comes_from_the_checkout_and_is_not_installed_in_the_environment(in_conda: House) -> None:
    python = environment(in_conda) / "bin" / "python"
    bare = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([python, "-c", "import torch, mmran"], env=bare, capture_output=True, text=True, check=False)
    assert "No module named 'mmran'" in done.stderr


def test_tables_and_weights_are_those_of_a_run_without_conda(in_conda: House, built: House) -> None:
    files = [f"tables/paper/table1.{ending}" for ending in ("csv", "md", "tex", "html")]
    weights = list((built.path / "results").glob("experiments/dynamic/paper/trials/*/weights.safetensors"))
    assert len(weights) == 1
    for file in [*files, weights[0].relative_to(built.path / "results")]:
        assert (in_conda.path / "results" / file).read_bytes() == (built.path / "results" / file).read_bytes(), file


@pytest.mark.parametrize("profile", PROFILES, ids=["default profile", "Slurm profile"])
def test_conda_switched_off_or_on_after_a_run_reruns_nothing(
    in_conda: House, house: House, profile: tuple[str, ...]
) -> None:
    assert in_conda.jobs(*profile) == set()
    assert house.jobs("--use-conda", *profile) == set()


def test_a_switch_reruns_nothing_whatever_triggers_are_named(in_conda: House) -> None:
    triggers = ("mtime", "params", "input", "code", "software-env")
    assert in_conda.jobs("--rerun-triggers", *triggers) == set()


def test_a_version_that_is_not_the_pip_sections_makes_no_environment(in_conda: House, tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    shutil.copytree(in_conda.path, house.path, symlinks=True, ignore=shutil.ignore_patterns(".snakemake"))
    house.edit("envs/mmran.yaml", "torch==", "torch==1")
    done = house.snakemake("--cores", "1", "--use-conda", "--conda-create-envs-only")
    assert done.returncode != 0
    assert "torch==1" in done.stdout + done.stderr


def test_a_conda_that_is_too_old_stops_the_run_before_any_job_in_one_line(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = standin_conda.install(tmp_path / "old", "4.12.0")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    done = house.snakemake("-n", "--use-conda")
    assert done.returncode != 0
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if "--use-conda:" in line]
    assert line.startswith(f"--use-conda: {folder / 'conda'} is conda 4.12.0; 24.7.1 or newer is needed")
    assert "Traceback" not in done.stdout + done.stderr
