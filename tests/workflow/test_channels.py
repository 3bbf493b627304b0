"""Images of four channels, from drawn files to tables, figures, a package, and masks of new images."""

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.own_data import draw_channels
from tests.workflow.conftest import ROOT, make_house

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

CHANNELS = ["t1", "t1ce", "t2", "flair"]
ROWS = [{"label": name, "experiment": name} for name in ("nearest-slice", "mmran")]
OWN: dict[str, Any] = {
    "data": {"channels": CHANNELS, "classes": ["upper", "lower"]},
    "protocols": {"patient": {"tested_folds": 1}},
    "evaluate_under": ["patient"],
    "defaults": {
        "network": {"width": 0.125},
        "input": {"size": 32},
        "training": {"epochs": 30, "batch_size": 6, "learning_rate": 0.001, "checkpoint_minutes": 0},
        "resources": {"threads": 1, "memory_mb": 500, "runtime_minutes": 5},
    },
    "experiments": {"mmran": {"network": {"attention": "none"}, "seeds": [1029]}},
    "tables": {
        **dict.fromkeys(("table1", "table2", "table3", "table6", "steps", "released")),
        "table4": {"rows": ROWS},
        "table5": {"rows": ROWS},
    },
    "figures": {
        **dict.fromkeys(("figure5", "figure7", "figure8", "forest", "forest-ablation", "reliability", "curves")),
        "figure6": {"rows": ROWS[1:]},
        "cases": {"rows": ROWS[1:]},
    },
    "claims": [],
    "search": None,
}


def test_four_channels_of_which_one_shows_the_tumor_run_through_to_masks_of_new_images(tmp_path: Path) -> None:
    house = make_house(tmp_path)
    shutil.copy2(ROOT / "config.yaml", tmp_path / "config.yaml")
    draw_channels(tmp_path / "own", CHANNELS, tumor_in="t2", n=60)
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(OWN))
    asked = ("--configfile", "own.yaml", "--config", "source=own", "results=results")
    done = house.snakemake("--cores", "2", *asked)
    assert done.returncode == 0, done.stdout + done.stderr

    with (tmp_path / "results" / "tables" / "patient" / "table4.csv").open(newline="", encoding="utf-8") as file:
        table = {row["row"]: row for row in csv.DictReader(file)}
    assert (
        float(table["mmran"]["dice"]) > 80
    )  # another channel alone gives 31, see tests/unit/training/test_channels.py
    assert "channel flair: " in (tmp_path / "results" / "data" / "audit.txt").read_text()
    assert "Pictures show the channel t1." in (tmp_path / "results" / "figures" / "patient" / "cases.txt").read_text()
    assert house.snakemake("-n", *asked).stdout.count("Nothing to be done") == 1

    packaged = house.mmran("package", "results", "mmran", "--output", "model")
    assert packaged.returncode == 0, packaged.stderr
    new = draw_channels(tmp_path / "new", CHANNELS, tumor_in="t2", n=62)
    scans = tmp_path / "scans"
    scans.mkdir()
    for path in (new / "images").glob("6*_*.png"):  # images 6, 60, and 61; the network has not seen the last two
        shutil.copy2(path, scans)
    masks = house.mmran("segment", "model", "scans", "--output", "masks", "--spacing-mm", "1", "--device", "cpu")
    assert masks.returncode == 0, masks.stderr
    for number in (60, 61):
        mask = np.asarray(Image.open(tmp_path / "masks" / f"{number}_mask.png")) == 255
        truth = np.asarray(Image.open(new / "masks" / f"{number}.png")) == 255
        assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.8
