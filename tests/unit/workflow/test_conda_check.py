"""conda before the first job, and what a job's shell does first in an environment that Snakemake has made."""

import subprocess
from pathlib import Path

import pytest
from snakemake.deployment.conda import MIN_CONDA_VER
from snakemake.utils import format as snakemake_format

from mmran.errors import UserError
from mmran.workflow.conda import OLDEST, after_activation, check_conda


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def pretend(folder: Path, line: str) -> None:
    program = folder / "conda"
    program.write_text(f"#!/bin/sh\n{line}\n")
    program.chmod(0o755)


def complaint(environments: str = "/data/envs") -> str:
    with pytest.raises(UserError) as caught:
        check_conda(environments)
    assert "\n" not in str(caught.value)
    assert "omit --use-conda" in str(caught.value)
    return str(caught.value)


def test_the_oldest_conda_is_the_one_that_snakemake_names() -> None:
    assert OLDEST == MIN_CONDA_VER


@pytest.mark.parametrize("version", ["24.7.1", "24.11.0", "26.9.2"])
def test_a_new_enough_conda_will_do(folder: Path, version: str) -> None:
    pretend(folder, f"echo conda {version}")
    check_conda("/data/envs")


@pytest.mark.parametrize("version", ["4.12.0", "24.7.0", "24.5"])
def test_an_older_conda_is_named_with_what_is_needed(folder: Path, version: str) -> None:
    pretend(folder, f"echo conda {version}")
    assert complaint().startswith(f"--use-conda: {folder}/conda is conda {version}; 24.7.1 or newer is needed: ")


def test_without_a_conda_it_says_what_to_install(folder: Path) -> None:
    said = complaint()
    assert said.startswith("--use-conda: no conda on PATH; conda 24.7.1 or newer is needed: install Miniforge")
    assert "`make setup`" in said


@pytest.mark.parametrize("line", ["echo 'no such interpreter' >&2; exit 1", "echo 'no such interpreter'"])
def test_a_conda_that_does_not_tell_its_version_is_quoted(folder: Path, line: str) -> None:
    pretend(folder, line)
    assert complaint().startswith(
        f"--use-conda: {folder}/conda --version printed 'no such interpreter', not its version"
    )


@pytest.mark.parametrize("sign", [" ", "'", '"', "$", "&"])
def test_a_folder_in_which_no_environment_works_is_refused_with_another_way(folder: Path, sign: str) -> None:
    pretend(folder, "echo conda 26.9.2")
    said = complaint(f"/data/it{sign}s")
    assert f"a folder with {sign!r} in its name" in said
    assert "--conda-prefix FOLDER" in said


def test_a_job_has_the_environments_python_first_and_the_checkouts_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "it's a {house}" / "src"
    environment = tmp_path / "env"
    (environment / "bin").mkdir(parents=True)
    monkeypatch.setenv("PYTHONPATH", f"{source}:/of/the/user")
    # As conda leaves it where a virtual environment was put before an active base, and as Snakemake's job has it.
    left = {"CONDA_PREFIX": str(environment), "PATH": f"/venv/bin:{environment}/bin:/usr/bin:/bin"}
    shell = (
        snakemake_format(after_activation()) + "echo $PYTHONPATH; echo $PATH; echo $PYTHONNOUSERSITE; false; echo on"
    )
    done = subprocess.run(["bash", "-c", shell], env=left, capture_output=True, text=True, check=False)
    # `false` ends it, as in Snakemake's own strict mode.
    assert done.stdout.splitlines() == [f"{source}:/of/the/user", f"{environment}/bin:{left['PATH']}", "1"]
    assert done.returncode == 1
