"""The overlays for data sets of one task, from drawn images in their layout to tables and figures."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.own_data import draw
from tests.workflow.conftest import ROOT, House, make_house

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

# One fold, one epoch, and two networks of the overlay's: one of both tasks, and one of the task that the data have.
SMALL: dict[str, Any] = {
    "protocols": {"patient": {"tested_folds": 1}},
    "defaults": {
        "network": {"width": 0.0625},
        "input": {"size": 32},
        "training": {"epochs": 1, "checkpoint_minutes": 0},
        "resources": {"threads": 1, "memory_mb": 500, "runtime_minutes": 5},
    },
}


def run(path: Path, name: str, tables: list[str], figures: list[str], networks: list[str]) -> House:
    """Run an overlay on the images in own/, with the rows of a few networks."""
    house = make_house(path)
    shutil.copy2(ROOT / "config.yaml", house.path / "config.yaml")
    rows = [{"label": network, "experiment": network} for network in networks]
    trained = [row for row in rows if row["experiment"] != "nearest-slice"]
    shown = {
        "tables": {table: {"rows": rows} for table in tables},
        "figures": {figure: {"rows": trained} for figure in figures} | {"forest": None},
    }
    (house.path / "small.yaml").write_text(yaml.safe_dump(SMALL | shown))
    overlay = f"workflow/overlays/{name}.yaml"
    done = house.snakemake(
        "--cores", "2", "--configfile", overlay, "small.yaml", "--config", "source=own", "results=results"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return house


def cells(house: House, table: str) -> dict[str, dict[str, str]]:
    """The rows of a table by their names."""
    with (house.path / "results" / "tables" / "patient" / f"{table}.csv").open(newline="", encoding="utf-8") as file:
        return {row["row"]: row for row in csv.DictReader(file)}


def test_a_set_of_labels_runs_through_to_tables(tmp_path: Path) -> None:
    draw(tmp_path / "own", ("benign", "malignant"), n=40, without=["mask"])
    networks = ["nearest-slice", "resnet-50", "mmran"]
    house = run(
        tmp_path, "labels-only", ["table5", "table6"], ["figure7", "figure8", "curves", "reliability"], networks
    )
    for row in cells(house, "table6").values():
        assert 0 <= float(row["auc_benign"]) <= 100
        assert 0 <= float(row["auc_malignant"]) <= 100
        assert "auc_glioma" not in row
    assert set(cells(house, "table5")) == set(networks)
    assert cells(house, "table5")["mmran"]["acc"] != "-"
    audit = (house.path / "results" / "data" / "audit.txt").read_text()
    assert "networks learn classes alone" in audit
    (history,) = (house.path / "results" / "experiments" / "mmran").rglob("trials/*/history.csv")
    header = history.read_text().splitlines()[0].split(",")
    assert "focal_loss" in header
    assert "dice_loss" not in header
    assert (house.path / "results" / "figures" / "patient" / "figure8.svg").is_file()
    assert (house.path / "results" / "overview.html").is_file()


def test_a_set_of_masks_runs_through_to_tables(tmp_path: Path) -> None:
    draw(tmp_path / "own", ("benign", "malignant"), n=40, without=["label"])
    networks = ["nearest-slice", "res-unet", "mmran"]
    house = run(tmp_path, "masks-only", ["table4"], ["figure6", "cases", "curves"], networks)
    rows = cells(house, "table4")
    assert set(rows) == set(networks)
    for row in rows.values():
        assert 0 <= float(row["dice"]) <= 100
    (history,) = (house.path / "results" / "experiments" / "mmran").rglob("trials/*/history.csv")
    header = history.read_text().splitlines()[0].split(",")
    assert "dice_loss" in header
    assert "focal_loss" not in header
    columns = next(iter((house.path / "results/experiments/mmran/patient/cases.csv").read_text().splitlines())).split(
        ","
    )
    assert not [name for name in columns if name.startswith("p_")]
    assert (house.path / "results" / "figures" / "patient" / "figure6.svg").is_file()
