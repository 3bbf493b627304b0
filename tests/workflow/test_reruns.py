"""What runs again after an edit: exactly what depends on it, also when Snakemake's records are lost."""

import copy
import os
import shutil
import sys
from typing import Any

import pandas as pd
import pytest

from tests.workflow.conftest import TINY, House

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

EXPERIMENTS: dict[str, Any] = TINY["experiments"]  # type: ignore[assignment]
TABLES: dict[str, Any] = TINY["tables"]  # type: ignore[assignment]


def of(*experiments: str) -> set[str]:
    return {f"{rule}:{name}" for rule in ("train", "predict", "evaluate") for name in experiments}


def tables(*names: str) -> set[str]:
    return {f"table:{name}" for name in names}


# What follows from `se`: the tables that show it, and what its network costs.
AFTER_SE = tables("table2", "table3") | {"networks:table3"}


def test_after_a_run_there_is_nothing_to_do(built: House) -> None:
    assert built.jobs() == set()


def test_tables_have_ours_beside_the_papers_and_a_dash_where_a_task_is_absent(built: House) -> None:
    table = pd.read_csv(built.path / "results" / "tables" / "table2.csv")
    assert list(table.columns[:4]) == ["row", "n", "dice", "acc"]
    assert table["row"].tolist() == ["Baseline", "SE", "SE + PKP", "ResNet-50"]
    # Hole filling cannot change a class.
    assert table["acc"][1] == table["acc"][2]
    assert pd.isna(table["dice"][3]) or table["dice"][3] in ("-", "–", "—")
    for ending in ("md", "tex", "html"):
        assert (built.path / "results" / "tables" / f"table2.{ending}").stat().st_size > 0


@pytest.mark.parametrize("records_lost", [False, True], ids=["records kept", "records lost"])
class TestEdits:
    """Each edit of the configuration or the source, with and without the folder .snakemake."""

    @pytest.fixture(autouse=True)
    def _lose_records(self, house: House, records_lost: bool) -> None:
        if records_lost:
            shutil.rmtree(house.path / ".snakemake")

    def test_an_edited_experiment_runs_alone(self, house: House) -> None:
        house.configure(experiments=EXPERIMENTS | {"se": {"network": {"attention": "se"}, "training": {"epochs": 2}}})
        assert house.jobs() == of("se") | AFTER_SE

    def test_an_added_experiment_runs_alone(self, house: House) -> None:
        added = copy.deepcopy(TABLES)
        added["table1"]["rows"].append({"label": "Fixed", "experiment": "fixed"})
        fixed = {"schedule": {"name": "fixed", "alpha": 0.2}}
        house.configure(experiments=EXPERIMENTS | {"fixed": fixed}, tables=added)
        assert house.jobs() == of("fixed") | tables("table1")

    def test_a_removed_experiment_leaves_only_its_tables_to_do(self, house: House) -> None:
        fewer = copy.deepcopy(TABLES)
        del fewer["table2"]["rows"][3]
        house.configure(experiments={k: v for k, v in EXPERIMENTS.items() if k != "plain"}, tables=fewer)
        assert house.jobs() == tables("table2")

    def test_one_networks_source_runs_what_uses_it(self, house: House) -> None:
        house.edit("src/mmran/networks/resnet.py", "from mmran", "UNUSED = 1\nfrom mmran")
        assert house.jobs() == of("plain") | tables("table2")

    def test_a_metrics_source_evaluates_again_and_trains_nothing(self, house: House) -> None:
        house.edit("src/mmran/metrics/surface.py", "import numpy as np", "import numpy as np\n\nUNUSED = 1")
        evaluate = {f"evaluate:{name}" for name in ("dynamic", "se", "plain")}
        assert house.jobs() == evaluate | tables("table1", "table2")

    def test_the_layout_of_tables_makes_tables_alone(self, house: House) -> None:
        house.edit("src/mmran/report/tables.py", "from mmran", "UNUSED = 1\nfrom mmran")
        assert house.jobs() == tables("table1", "table2", "table3")

    def test_a_tables_title_makes_that_table_alone(self, house: House) -> None:
        retitled = copy.deepcopy(TABLES)
        retitled["table1"]["title"] = "Methods"
        house.configure(tables=retitled)
        assert house.jobs() == tables("table1")

    def test_order_comments_threads_and_times_run_nothing(self, house: House) -> None:
        house.configure(experiments=dict(reversed(EXPERIMENTS.items())))
        house.edit("config.yaml", "threads: 1", "threads: 2  # as many as there are\n    ")
        house.edit("src/mmran/networks/resnet.py", "from mmran", "# a comment\nfrom mmran")
        for path in ("config.yaml", "src/mmran/training/engine.py", "src/mmran/data/convert.py"):
            os.utime(house.path / path)
        assert house.jobs() == set()


def test_a_renamed_experiment_is_found_and_not_trained_again(house: House) -> None:
    renamed = copy.deepcopy(TABLES)
    renamed["table2"]["rows"][1]["experiment"] = renamed["table2"]["rows"][2]["experiment"] = "squeeze"
    renamed["table3"]["rows"][0]["experiment"] = "squeeze"
    house.configure(experiments={("squeeze" if k == "se" else k): v for k, v in EXPERIMENTS.items()}, tables=renamed)
    assert house.jobs() == of("squeeze") | AFTER_SE
    done = house.snakemake("--cores", "1", "results/experiments/squeeze/paper/runs.json")
    assert done.returncode == 0, done.stdout + done.stderr
    log = (house.path / "results" / "logs" / "train" / "squeeze-paper.log").read_text()
    assert "trained before, kept" in log


def test_an_edit_taken_back_runs_nothing(house: House) -> None:
    house.configure(experiments=EXPERIMENTS | {"se": {"network": {"attention": "scse"}}})
    assert of("se") <= house.jobs()
    house.configure()
    assert house.jobs() == set()


def test_why_names_the_difference(house: House) -> None:
    mmran = (sys.executable, "-m", "mmran", "why", "se")
    assert "nothing would run again" in house.run(*mmran).stdout
    house.configure(experiments=EXPERIMENTS | {"se": {"network": {"attention": "se"}, "training": {"epochs": 2}}})
    assert "training.epochs: 1 -> 2" in house.run(*mmran).stdout
    house.configure()
    house.edit("src/mmran/losses.py", "import torch", "import torch\n\nUNUSED = 1")
    assert "the source of mmran.training.losses is not what it was" in house.run(*mmran).stdout


def test_a_typo_stops_everything_before_any_job_with_the_known_names(house: House) -> None:
    house.configure(experiments=EXPERIMENTS | {"se": {"netwrk": {"attention": "se"}}})
    done = house.snakemake("-n")
    assert done.returncode != 0
    assert "unknown key 'netwrk'; did you mean 'network'" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


TOY = """
import torch
from torch import nn

from mmran.networks.output import NetworkOutput


class Toy(nn.Module):
    stride = 1
    tasks = ("classification",)
    recipe = "mmran.training.multitask:Multitask"

    def __init__(self, *, width: float = 1.0):
        super().__init__()
        self.head = nn.Linear(1, 3)

    def forward(self, images: torch.Tensor) -> NetworkOutput:
        return NetworkOutput(class_logits=self.head(images.mean((2, 3))))
"""


def test_a_network_from_outside_takes_part_without_a_line_of_the_package(house: House) -> None:
    (house.path / "src" / "mypkg").mkdir()
    (house.path / "src" / "mypkg" / "toy.py").write_text(TOY)
    added = copy.deepcopy(TABLES)
    added["table2"]["rows"].append({"label": "Toy", "experiment": "toy"})
    toy = {"network": {"name": "mine"}}
    house.configure(networks={"mine": "mypkg.toy:Toy"}, experiments=EXPERIMENTS | {"toy": toy}, tables=added)
    assert house.jobs() == of("toy") | tables("table2")
    done = house.snakemake("--cores", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(house.path / "results" / "tables" / "table2.csv")
    assert table["row"].tolist()[-1] == "Toy"
    assert table["dice"].tolist()[-1] == "-"
    house.edit("src/mypkg/toy.py", "nn.Linear(1, 3)", "nn.Linear(1, 3, bias=False)")
    assert house.jobs() == of("toy") | tables("table2")


def test_the_report_gathers_the_tables(house: House) -> None:
    report = house.path / "report.zip"
    done = house.snakemake("--report", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    assert report.stat().st_size > 10_000
