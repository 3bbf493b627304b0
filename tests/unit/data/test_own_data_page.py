"""The page about data sets of one's own: its example and its commands run."""

import re
import shlex
from pathlib import Path

import pytest

from mmran.cli import main
from mmran.data.store import SliceStore

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "own-data.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line for block in re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]


def test_the_examples_and_the_commands_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(EXAMPLES) == 2
    for example in EXAMPLES:
        exec(example, {})
    assert len(COMMANDS) == 6
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
    two = SliceStore("results/two/data/slices.h5")
    assert two.channels == ("t1", "t2")
    assert two.read(1)[0].shape == (2, 64, 64)
