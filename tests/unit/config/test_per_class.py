"""What the classes of the data change in a configuration."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmran.config.claims import ComparisonSpec
from mmran.config.configuration import Config
from mmran.config.load import PAPER
from mmran.data.published import CLASSES
from mmran.errors import UserError


def read(tmp_path: Path, classes: Any, **more: Any) -> Config:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(yaml.safe_dump({"data": {"classes": classes}, **more}))
    return Config.read([PAPER, overlay])


def test_without_classes_the_paper_has_its_own() -> None:
    config = Config.read([PAPER])
    assert config.classes == CLASSES
    assert config.table("table6").metrics == ("auc_meningioma", "auc_glioma", "auc_pituitary", "auc_macro")
    assert config.table("released").metrics[-1] == "auc_pituitary_released"
    assert "n_classes" not in config.resolve("mmran").network.options


def test_columns_follow_the_classes_and_the_papers_values_of_other_classes_are_left_out(tmp_path: Path) -> None:
    config = read(tmp_path, ["benign", "malignant"])
    table = config.table("table6")
    assert table.metrics == ("auc_benign", "auc_malignant", "auc_macro")
    assert all(not row.paper for row in table.rows)
    assert config.table("table5").rows[-1].paper["acc"] == 89.87
    metrics = {claim.metric for claim in config.comparison.claims}
    assert "acc" in metrics
    assert not any(name.startswith("auc_") for name in metrics)
    assert ComparisonSpec.from_values(json.loads(config.comparison.to_json())) == config.comparison


def test_networks_that_classify_learn_the_number_of_classes(tmp_path: Path) -> None:
    config = read(tmp_path, ["a", "b", "c", "d"])
    assert config.resolve("mmran").network.arguments["n_classes"] == 4
    assert "n_classes" not in config.resolve("res-unet").network.arguments


@pytest.mark.parametrize(
    ("classes", "more", "said"),
    [
        (["a"], {}, "data.classes"),
        (["a", "a"], {}, "data.classes"),
        (["a", "macro"], {}, "data.classes.1"),
        (["a", "b"], {"experiments": {"mmran": {"network": {"n_classes": 2}}}}, "follows from data.classes"),
        (["a", "b"], {"experiments": {"mmran": {"loss": {"focal_alpha": [1, 2, 3]}}}}, "3 factors.* one per class: 2"),
        (["a", "b"], {"tables": {"table1": {"metrics": ["auc_glioma"]}}}, "auc_glioma is of no class of the data"),
    ],
)
def test_what_does_not_fit_the_classes_is_refused(tmp_path: Path, classes: Any, more: Any, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        read(tmp_path, classes, **more)
    assert "\n" not in str(error.value)


def test_a_network_of_your_own_without_the_option_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one_number.py").write_text(
        "class Net:\n"
        "    stride, tasks, recipe = 1, ('classification',), 'mmran.training.multitask:Multitask'\n"
        "    def __init__(self, *, width=1.0):\n        pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    entry = {"experiments": {"own": {"network": {"name": "one_number:Net"}}}}
    with pytest.raises(UserError, match="builds one number of classes"):
        read(tmp_path, ["a", "b"], **entry)
