"""The commands of the page about trained models run as they are written."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmran.cli import main
from mmran.data.cheng import read_slice

PAGE = Path(__file__).resolve().parents[3] / "docs" / "use-a-model.md"
COMMANDS = [
    line for block in re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(), re.M | re.S) for line in block.splitlines()
]


@pytest.mark.slow
def test_the_commands_of_the_page_run(
    results: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    demo = Path("results/demo")
    shutil.copytree(results, demo)
    (demo / "experiments" / "tiny").rename(demo / "experiments" / "mmran")
    for folder in ("scans", "truth"):
        Path(folder).mkdir()
    for number in (1, 2):
        item = read_slice(tiny / "phantom" / f"{number}.mat")
        Image.fromarray(item.image.astype(np.uint16)).save(f"scans/{number}.png")
        Image.fromarray(item.mask * np.uint8(255)).save(f"truth/{number}.png")
    run = [line for line in COMMANDS if " export " not in line]  # test_export.py exports
    assert len(run) == 5
    for line in run:
        assert main(shlex.split(line)[1:]) == 0, line
    assert {path.name for path in Path("masks").iterdir()} >= {"1_mask.png", "2_overlay.png", "predictions.csv"}
    assert Path("masks-checked/truth.csv").read_text().count("\n") == 3
