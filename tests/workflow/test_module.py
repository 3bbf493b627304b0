"""The workflow as a module of another one, in another folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT, write_config

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

OUTER = """
configfile: "config.yaml"


module mmran:
    snakefile: "{root}/Snakefile"
    config: config
    {more}


use rule * from mmran as mmran_*


rule mine:
    default_target: True
    input:
        "results/data/audit.json",
"""


def run(folder: Path, *arguments: str, more: str = "") -> subprocess.CompletedProcess[str]:
    write_config(folder, {})
    (folder / "Snakefile").write_text(OUTER.format(root=ROOT, more=more))
    command = [sys.executable, "-m", "snakemake", *arguments]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def test_it_runs_from_another_folder_and_records_what_it_made(tmp_path: Path) -> None:
    done = run(tmp_path, "--cores", "1")
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "results/data/audit.json").is_file()
    assert (tmp_path / "results/records/verify.json").is_file()
    assert "Nothing to be done" in run(tmp_path, "-n").stdout


def test_a_prefix_moves_the_results_as_a_whole(tmp_path: Path) -> None:
    write_config(tmp_path, {})
    target = "sub/results/data/audit.json"
    done = run(tmp_path, "--cores", "1", "--", target, more='prefix: "sub"')
    assert done.returncode == 0, done.stdout
    assert (tmp_path / target).is_file()
    assert (tmp_path / "sub/results/records/verify.json").is_file()
    assert not (tmp_path / "results").exists()
    assert "Nothing to be done" in run(tmp_path, "-n", "--", target, more='prefix: "sub"').stdout


def test_a_folder_without_a_configuration_takes_the_papers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "-n"]
    more = ("--config", "source=phantom", "results=here")
    done = subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "here/tables/paper/table6.csv" in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / ".snakemake"]
