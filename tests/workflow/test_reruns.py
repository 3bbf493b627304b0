"""What runs again after an edit: Snakemake, `mmran why` and `mmran plan` give one answer, whatever times say."""

import copy
import json
import random
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from tests.workflow.conftest import TINY, House

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

EXPERIMENTS: dict[str, Any] = TINY["experiments"]
TABLES: dict[str, Any] = TINY["tables"]
LONGER = EXPERIMENTS | {"se": {"network": {"attention": "se"}, "training": {"epochs": 2}}}


def of(*experiments: str) -> set[str]:
    return {f"{stage}/{name}/paper" for stage in ("train", "predict", "evaluate") for name in experiments}


def tables(*names: str) -> set[str]:
    return {f"table/paper/{name}" for name in names}


def made(jobs: set[str]) -> set[str]:
    """All but the comparisons and the start page, which follow everything that is measured or shown."""
    return {name for name in jobs if not name.startswith(("nearest_slice/", "compare/")) and name != "overview"}


# What follows from `se`: the tables that show it, and what its network costs.
AFTER_SE = tables("table2", "table3") | {"networks/table3"}


def longer(house: House) -> set[str]:
    house.configure(experiments=LONGER)
    return of("se") | AFTER_SE


def added(house: House) -> set[str]:
    more = copy.deepcopy(TABLES)
    more["table1"]["rows"].append({"label": "Fixed", "experiment": "fixed"})
    house.configure(experiments=EXPERIMENTS | {"fixed": {"schedule": {"name": "fixed", "alpha": 0.2}}}, tables=more)
    return of("fixed") | tables("table1")


def removed(house: House) -> set[str]:
    fewer = copy.deepcopy(TABLES)
    del fewer["table2"]["rows"][3]
    house.configure(experiments={k: v for k, v in EXPERIMENTS.items() if k != "plain"}, tables=fewer)
    return tables("table2")


def network_source(house: House) -> set[str]:
    house.edit("src/mmran/networks/resnet.py", "from mmran", "UNUSED = 1\nfrom mmran")
    return of("plain") | tables("table2")


def metric_source(house: House) -> set[str]:
    house.edit("src/mmran/metrics/surface.py", "import numpy as np", "import numpy as np\n\nUNUSED = 1")
    return {f"evaluate/{name}/paper" for name in ("dynamic", "se", "plain")} | tables("table1", "table2")


def retitled(house: House) -> set[str]:
    house.configure(tables=TABLES | {"table1": TABLES["table1"] | {"title": "Methods"}})
    return tables("table1")


def comments_order_and_threads(house: House) -> set[str]:
    house.configure(experiments=dict(reversed(EXPERIMENTS.items())))
    house.edit("config.yaml", "threads: 1", "threads: 2  # as many as there are\n    ")
    house.edit("src/mmran/networks/resnet.py", "from mmran", "# a comment\nfrom mmran")
    return set()


def files_are_absent(house: House) -> set[str]:
    for path in (house.path / "results/tables/paper").glob("table1.*"):
        path.unlink()
    (house.path / "results/experiments/plain/paper/predictions.h5").unlink()
    return tables("table1")


def one_format_of_a_table_is_absent(house: House) -> set[str]:
    (house.path / "results/tables/paper/table1.tex").unlink()
    return tables("table1")


def cases_and_a_table_are_absent(house: House) -> set[str]:
    (house.path / "results/experiments/se/paper/cases.csv").unlink()
    (house.path / "results/tables/paper/table2.csv").unlink()
    return {"evaluate/se/paper"} | tables("table2")


def weights_are_damaged(house: House) -> set[str]:
    next((house.path / "results/experiments/se/paper/trials").rglob("weights.safetensors")).write_text("damaged")
    return of("se") | AFTER_SE - {"networks/table3"}


EDITS: tuple[Callable[[House], set[str]], ...] = (
    *(longer, added, removed, network_source, metric_source, retitled, comments_order_and_threads, files_are_absent),
    *(one_format_of_a_table_is_absent, cases_and_a_table_are_absent, weights_are_damaged),
)


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_runs_what_follows_from_it_and_snakemake_says_what_the_package_says(
    edit: Callable[[House], set[str]], finished: House
) -> None:
    expected = edit(finished)
    jobs = finished.jobs()
    assert jobs == finished.judged()[0]
    assert made(jobs) == expected


def test_one_process_writes_what_three_write(house: House) -> None:
    results = house.path / "results"
    trained, apart = results / "experiments" / "se" / "paper", house.path / "apart"
    assert not (results / "logs" / "predict").exists()
    inputs = (
        "--spec",
        f"{trained}/spec.json",
        "--store",
        f"{results}/data/slices.h5",
        "--split",
        f"{results}/splits/paper.csv",
    )
    done = house.mmran("predict", *inputs, "--trained", str(trained), "--output", f"{apart}/predictions.h5")
    assert done.returncode == 0, done.stderr
    outputs = ("--cases", f"{apart}/cases.csv", "--summary", f"{apart}/summary.json")
    done = house.mmran("evaluate", f"{apart}/predictions.h5", *inputs[2:], *outputs)
    assert done.returncode == 0, done.stderr
    for name in ("cases.csv", "summary.json"):
        assert (apart / name).read_text() == (trained / name).read_text()


def test_predictions_that_are_lost_are_made_again_without_a_training(house: House) -> None:
    (house.path / "results/experiments/se/paper/predictions.h5").unlink()
    metric_source(house)
    done = house.snakemake("--cores", "1", "results/experiments/se/paper/cases.csv", "--quiet", "host", "reason")
    assert done.returncode == 0, done.stdout + done.stderr
    ran = re.findall(r"^(?:local)?rule (\w+):", done.stdout + done.stderr, re.MULTILINE)
    assert sorted(ran) == ["evaluate", "predict"]
    assert "nothing would rerun" in house.mmran("why", "se").stdout


def test_why_names_the_difference(finished: House) -> None:
    assert "nothing would rerun" in finished.mmran("why", "se").stdout
    longer(finished)
    assert "train/se/paper: training.epochs: 1 -> 2" in finished.mmran("why", "se").stdout
    network_source(finished)
    assert "train/plain/paper: the source of mmran.networks.resnet changed" in finished.mmran("why", "plain").stdout
    assert "nothing would rerun" in finished.mmran("why", "dynamic").stdout


OPTIONS: tuple[tuple[str, object], ...] = (
    ("data.phantom.seed", 4),
    ("data.field_of_view_mm", 240.0),
    ("data.patients_per_class", 5),
    ("defaults.loss.dice", "printed"),
    ("defaults.seeds", [1, 2]),
    ("defaults.resources.memory_mb", 400),
    ("protocols.paper.seed", 2),
    ("protocols.patient.seed", 2),
    ("experiments.se.network.attention", "scse"),
    ("tables.table3.title", "Sizes"),
    ("tables.table1.metrics", ["acc"]),
)


@pytest.mark.parametrize("draw", range(6))
def test_the_jobs_that_run_after_any_edit_are_those_whose_digest_changed(draw: int, finished: House) -> None:
    """The same without Snakemake, with more edits: tests/unit/config/test_any_edit.py."""
    _, before = finished.judged()
    choose = random.Random(draw)
    if draw % 2:
        module = finished.path / "src" / choose.choice(finished.modules()).replace(".", "/")
        file = module.with_suffix(".py") if module.with_suffix(".py").is_file() else module / "__init__.py"
        file.write_text(f"{file.read_text()}\nUNUSED = {draw}\n")
    else:
        key, value = choose.choice(OPTIONS)
        changes: dict[str, Any] = {}
        place = changes
        *parents, last = key.split(".")
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
        done = finished.path / "edit.yaml"
        done.write_text(json.dumps(changes))
        config = finished.run(sys.executable, "-c", _OVERLAY)
        assert config.returncode == 0, config.stderr
    _, after = finished.judged()
    assert finished.jobs() == {name for name, digest in after.items() if before.get(name) != digest}


_OVERLAY = """
import yaml
from mmran.config.load import load
values = load(["config.yaml", "edit.yaml"])
open("config.yaml", "w", encoding="utf-8").write(yaml.safe_dump(values, sort_keys=False))
"""


def test_results_copied_elsewhere_and_without_snakemakes_records_are_as_good(built: House, house: House) -> None:
    shutil.rmtree(house.path / ".snakemake")
    shutil.copytree(house.path / "results", house.path / "copy", copy_function=shutil.copy)
    assert house.jobs("--config", "results=copy", "--rerun-triggers", "mtime") == set()
    house.configure(experiments=LONGER)
    assert made(house.jobs("--config", "results=copy", "--rerun-triggers", "mtime")) == of("se") | AFTER_SE
    assert built.jobs() == set()


def test_plan_counts_what_snakemake_would_run(built: House, house: House) -> None:
    assert json.loads(built.mmran("plan", "--json").stdout)["jobs"] == {}
    expected = longer(house)
    planned = json.loads(house.mmran("plan", "--json").stdout)["jobs"]
    assert planned == Counter(name.partition("/")[0] for name in expected | {"compare/paper", "overview"})


def test_tables_have_ours_beside_the_papers_and_a_dash_where_a_task_is_absent(built: House) -> None:
    table = pd.read_csv(built.path / "results" / "tables" / "paper" / "table2.csv")
    assert table["row"].tolist() == ["Baseline", "SE", "SE + PKP", "ResNet-50"]
    # Hole filling cannot change a class.
    assert table["acc"][1] == table["acc"][2]
    assert pd.isna(table["dice"][3]) or table["dice"][3] in ("-", "–", "—")
    for ending in ("md", "tex", "html"):
        assert (built.path / "results" / "tables" / "paper" / f"table2.{ending}").stat().st_size > 0


def test_a_renamed_experiment_is_found_and_not_trained_again(house: House) -> None:
    renamed = copy.deepcopy(TABLES)
    renamed["table2"]["rows"][1]["experiment"] = renamed["table2"]["rows"][2]["experiment"] = "squeeze"
    renamed["table3"]["rows"][0]["experiment"] = "squeeze"
    house.configure(experiments={("squeeze" if k == "se" else k): v for k, v in EXPERIMENTS.items()}, tables=renamed)
    assert made(house.jobs()) == of("squeeze") | AFTER_SE
    done = house.snakemake("--cores", "1", "results/experiments/squeeze/paper/runs.json")
    assert done.returncode == 0, done.stdout + done.stderr
    log = (house.path / "results" / "logs" / "train" / "squeeze-paper.log").read_text()
    assert "already trained, kept" in log


def test_a_typo_stops_everything_before_any_job_with_the_known_names(finished: House) -> None:
    finished.configure(experiments=EXPERIMENTS | {"se": {"netwrk": {"attention": "se"}}})
    done = finished.snakemake("-n")
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
    more = copy.deepcopy(TABLES)
    more["table2"]["rows"].append({"label": "Toy", "experiment": "toy"})
    toy = {"network": {"name": "mine"}}
    house.configure(networks={"mine": "mypkg.toy:Toy"}, experiments=EXPERIMENTS | {"toy": toy}, tables=more)
    assert made(house.jobs()) == of("toy") | tables("table2")
    done = house.snakemake("--cores", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(house.path / "results" / "tables" / "paper" / "table2.csv")
    assert table["row"].tolist()[-1] == "Toy"
    assert table["dice"].tolist()[-1] == "-"
    house.edit("src/mypkg/toy.py", "nn.Linear(1, 3)", "nn.Linear(1, 3, bias=False)")
    assert made(house.jobs()) == of("toy") | tables("table2")
