"""The page about data sets of one's own: its example and its commands run."""

import re
import shlex
from pathlib import Path

import pytest

from mmran.cli import main
from mmran.data.store import SliceStore

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "own-data.md").read_text()
(EXAMPLE,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line for block in re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]


def test_the_example_and_the_commands_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(EXAMPLE, {})
    assert len(COMMANDS) == 4
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        assert program == "mmran"
        assert main(arguments) == 0, capsys.readouterr().err
    store = SliceStore("results/own/data/slices.h5")
    assert len(store) == 36
    assert store.index.groupby("label")["pid"].nunique().tolist() == [6, 6, 6]
    assert store.index["spacing_mm"].unique().tolist() == [0.9]
    printed = capsys.readouterr().out
    assert "!!" not in printed
    assert "whole: every slice" in printed
    assert Path("results/own/splits/patient.csv").is_file()
