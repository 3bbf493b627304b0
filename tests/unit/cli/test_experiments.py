"""The verbs that read the configuration: what Snakemake's command line sets, they can be told too."""

from pathlib import Path

import pytest

from mmran.cli import main

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("verb", [["why", "mmran"], ["plan"], ["accept", "mmran", "--because", "a rename"]])
def test_without_slices_every_verb_names_the_option_that_gives_them(
    verb: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*verb, "--config", str(ROOT / "config.yaml")]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert "--source DIR" in said[0]
    assert "10.6084/m9.figshare.1512427" in said[0]


def test_why_takes_slices_and_results_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "1.mat").touch()
    arguments = ["--config", str(ROOT / "config.yaml"), "--source", str(tmp_path), "--results", str(tmp_path / "r")]
    assert main(["why", "mmran", *arguments]) == 0
    assert "train/mmran/paper: never run" in capsys.readouterr().out
