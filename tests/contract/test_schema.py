"""The schema and the registries of the code name the same things."""

from typing import Any

from mmran.config.configuration import Config
from mmran.config.load import PAPER
from mmran.config.schema import choices, schema
from mmran.data.published import CLASSES
from mmran.evaluation.postprocess import VARIANTS
from mmran.metrics.names import METRICS, metric_names
from mmran.report.figures import KINDS
from mmran.training.schedules import SCHEDULES


def test_names_of_the_schema_are_those_of_the_code() -> None:
    assert choices("variant") == tuple(VARIANTS)
    assert choices("metric") == tuple(dict.fromkeys([*metric_names(CLASSES), *METRICS]))
    assert set(choices("figure_kind")) == set(KINDS)
    experiment = schema()["$defs"]["experiment"]["properties"]
    assert experiment["schedule"]["properties"]["name"]["anyOf"][0]["enum"] == list(SCHEDULES)


def test_every_field_of_an_experiment_is_a_key_of_the_schema() -> None:
    values = Config.read([PAPER]).resolve("dynamic").to_values()
    known: dict[str, Any] = schema()["$defs"]["experiment"]["properties"]
    for section in ("input", "augmentation", "loss", "training"):
        assert set(values[section]) == set(known[section]["properties"])


def test_every_key_is_described() -> None:
    """The reference of the documentation is made from these."""
    assert list(_undescribed(schema(), "")) == []


def _undescribed(node: dict[str, Any], where: str) -> Any:
    for key, child in node.get("properties", {}).items():
        target = schema()["$defs"][child["$ref"].rpartition("/")[2]] if "$ref" in child else child
        if target.get("type") != "object" and "description" not in child and "description" not in target:
            yield f"{where}{key}"
        yield from _undescribed(child, f"{where}{key}.")
    for name, child in node.get("$defs", {}).items():
        yield from _undescribed(child, f"{name}.")
