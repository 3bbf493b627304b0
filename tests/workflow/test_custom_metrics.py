"""A metric from outside the package, from the configuration to the tables, and after an edit of its function."""

import copy
import csv
from typing import Any

import pytest

from tests.workflow.conftest import TINY, House

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

CODE = """
def area_ratio(predicted, truth, spacing_mm):
    return predicted.sum() / truth.sum()
"""
METRICS = {"area_ratio": {"function": "metrics_of_mine:area_ratio", "title": "Area ratio", "unit": ""}}


def configured(house: House, metrics: dict[str, Any] = METRICS, shown: str = "area_ratio") -> None:
    """Two experiments in one table with the metric."""
    table = copy.deepcopy(TINY["tables"]["table2"]) | {"metrics": ["dice", shown]}
    table["rows"] += [{"label": "Copied", "experiment": "nearest-slice"}]
    figure = {"title": "Differences", "kind": "forest", "metrics": ["dice", shown], "rows": table["rows"][:3]}
    house.configure(evaluation={"metrics": metrics}, tables={"table2": table}, figures={"forest": figure})


def cells(house: House) -> dict[str, dict[str, str]]:
    path = house.path / "results" / "tables" / "paper" / "table2.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return {row["row"]: row for row in csv.DictReader(file)}


def ran(house: House) -> set[str]:
    """Rules that a run executed."""
    done = house.snakemake("--cores", "2", "--quiet", "host", "reason")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (done.stdout + done.stderr).splitlines()
    return {line.split()[1].removesuffix(":") for line in lines if line.startswith(("rule ", "localrule "))}


def test_a_metric_reaches_the_tables_and_an_edit_of_its_function_trains_nothing(house: House) -> None:
    module = house.path / "metrics_of_mine.py"
    module.write_text(CODE)
    configured(house)
    first = ran(house)
    assert {"evaluate", "nearest_slice", "compare", "table", "figure"} <= first
    assert not first & {"train", "predict", "train_predict_and_evaluate"}
    before = cells(house)
    assert set(before) == {"Baseline", "SE", "SE + PKP", "ResNet-50", "Copied"}
    assert before["ResNet-50"]["area_ratio"] == "-"
    assert float(before["SE"]["area_ratio"]) >= 0
    traced = house.mmran("trace", "results/tables/paper/table2.csv", "SE", "area_ratio")
    assert traced.stdout.startswith(f"Area ratio of SE: {before['SE']['area_ratio']}"), traced.stderr
    intervals = (house.path / "results" / "statistics" / "paper" / "intervals.csv").read_text()
    assert "area_ratio" in intervals
    assert ran(house) == set()

    module.write_text(CODE.replace("predicted.sum()", "2 * predicted.sum()"))
    assert "evaluate/se/paper: the source of metrics_of_mine changed" in house.mmran("why", "se").stdout
    assert ran(house) == first
    after = cells(house)
    for name in ("SE", "Copied"):
        assert float(after[name]["area_ratio"]) == pytest.approx(2 * float(before[name]["area_ratio"]), abs=0.015)
        assert after[name]["dice"] == before[name]["dice"]


def test_one_process_trains_and_measures(house: House) -> None:
    (house.path / "metrics_of_mine.py").write_text(CODE)
    configured(house)
    house.edit("config.yaml", "attention: se", "attention: scse")
    assert "train_predict_and_evaluate" in ran(house)
    assert float(cells(house)["SE"]["area_ratio"]) >= 0


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("metrics_of_mine:gone", "metrics_of_mine has no function 'gone'"),
        ("metrics_of_yours:f", "cannot import 'metrics_of_yours'"),
        ("metrics_of_mine:two", "two() takes 2 positional arguments but 3 were given"),
        ("metrics_of_mine:nothing", "returns a NoneType on a trial slice"),
    ],
)
def test_a_function_that_cannot_measure_stops_a_dry_run_in_one_line(finished: House, function: str, said: str) -> None:
    code = "def two(predicted, truth): return 1\n\ndef nothing(*masks): pass\n"
    (finished.path / "metrics_of_mine.py").write_text(code)
    configured(finished, {"area_ratio": function})
    done = finished.snakemake("-n")
    assert done.returncode != 0
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if "evaluation.metrics.area_ratio" in line]
    assert said in line


def test_a_mistyped_metric_of_a_table_suggests_the_nearest(finished: House) -> None:
    (finished.path / "metrics_of_mine.py").write_text(CODE)
    configured(finished, shown="area_rato")
    done = finished.snakemake("-n")
    assert "did you mean 'area_ratio'?" in done.stdout + done.stderr
