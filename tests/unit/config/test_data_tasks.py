"""What data without masks, or without classes, change in a configuration."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from mmran.config.configuration import Config
from mmran.config.experiment import Experiment
from mmran.config.load import PAPER
from mmran.errors import UserError

ROWS = {
    "segmentation": ["mmran", "y-net", "res-unet"],
    "classification": ["mmran", "y-net", "resnet-50"],
}


def read(tmp_path: Path, task: str, shown: list[str] | None = None, **more: Any) -> Config:
    """The paper's configuration for data of one task, with one table of the experiments shown."""
    config = Config.read([PAPER])
    rows = [{"label": name, "experiment": name} for name in shown or ROWS[task]]
    tables: dict[str, Any] = dict.fromkeys(config.tables)
    tables["own"] = {"title": "Own", "kind": "metrics", "metrics": ["dice", "acc"], "rows": rows}
    overlay = tmp_path / "overlay.yaml"
    values = {"data": {"tasks": [task]}, "tables": tables, "figures": dict.fromkeys(config.figures)}
    overlay.write_text(yaml.safe_dump(values | more))
    return Config.read([PAPER, overlay])


@pytest.mark.parametrize("task", ROWS)
def test_networks_with_both_tasks_keep_the_one_that_the_data_have(tmp_path: Path, task: str) -> None:
    config = read(tmp_path, task)
    assert config.tasks == (task,)
    assert config.resolve("mmran").network.tasks == (task,)
    alone = ROWS[task][-1]
    assert config.resolve(alone).network.tasks is None
    for name in ROWS[task]:
        experiment = config.resolve(name)
        assert Experiment.parse(experiment.to_json(), "spec.json") == experiment
    assert config.classes == (() if task == "segmentation" else ("meningioma", "glioma", "pituitary"))


def test_specifications_of_data_with_both_tasks_do_not_name_them() -> None:
    assert "tasks" not in Config.read([PAPER]).resolve("mmran").to_values()["network"]


@pytest.mark.parametrize(
    ("task", "network", "lacking"),
    [
        ("segmentation", "resnet-50", "classification"),
        ("classification", "res-unet", "segmentation"),
        ("classification", "mb-dcnn", "segmentation"),
    ],
)
def test_a_network_that_cannot_learn_from_the_data_is_refused(
    tmp_path: Path, task: str, network: str, lacking: str
) -> None:
    with pytest.raises(UserError) as error:
        read(tmp_path, task, ["mmran", network])
    assert str(error.value) == (
        f"config: experiments.{network}: network {network} needs data for {lacking}, but data.tasks is [{task}]; "
        "remove its rows from tables and figures"
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"data": {"tasks": ["detection"]}}, "'detection' is unknown"),
        ({"data": {"tasks": []}}, "data.tasks"),
        ({"experiments": {"mmran": {"network": {"tasks": ["segmentation"]}}}}, "network.tasks follows from data.tasks"),
        (
            {"data": {"tasks": ["segmentation"]}, "tables": {"table6": {"metrics": ["auc_{class}"]}}},
            "tables.table6.metrics: the data have no classes",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path: Path, values: dict[str, Any], said: str) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=said.replace(".", r"\.")) as error:
        Config.read([PAPER, overlay])
    assert "\n" not in str(error.value)
