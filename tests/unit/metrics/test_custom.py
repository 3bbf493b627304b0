"""Definitions of metrics from outside the package."""

import re

import pytest

from mmran.data.published import CLASSES
from mmran.evaluation.cases import case_columns
from mmran.metrics.custom import NAME_PATTERN, custom_metrics, custom_values, describe, is_taken, needs_of
from mmran.metrics.names import METRICS, metric_names


def test_a_function_alone_is_a_share_in_percent_that_should_be_high() -> None:
    (one,) = custom_metrics({"boundary_iou": "mypkg.metrics:f"}).values()
    metric = one.metric
    assert (metric.title, metric.scale, metric.decimals) == ("boundary iou (%)", 100.0, 2)
    assert (metric.needs, metric.lower_is_better, metric.is_signed) == ("masks", False, False)


def test_unit_direction_and_title_are_those_of_the_configuration() -> None:
    values = {"function": "m:f", "title": "Area error", "unit": "mm²", "better": "lower", "decimals": 1}
    metric = custom_metrics({"area": values})["area"].metric
    assert (metric.title, metric.scale, metric.decimals) == ("Area error (mm²)", 1.0, 1)
    assert (metric.lower_is_better, metric.is_signed) == (True, True)
    assert custom_metrics({"area": values | {"unit": ""}})["area"].metric.title == "Area error"


def test_definitions_survive_their_plain_values() -> None:
    found = custom_metrics({"a": "m:f", "b": {"function": "m:g", "unit": "mm"}})
    assert custom_metrics(custom_values(found)) == found


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(TypeError, match="directoin"):
        custom_metrics({"a": {"function": "m:f", "directoin": "lower"}})


def test_a_metric_is_described_whether_custom_or_not() -> None:
    custom = custom_metrics({"a": {"function": "m:f", "title": "A"}})
    assert describe("a", custom).title == "A (%)"
    assert describe("dice", custom) == METRICS["dice"]
    assert (needs_of("a"), needs_of("dice"), needs_of("auc_glioma")) == ("masks", "masks", "classes")
    with pytest.raises(KeyError):
        describe("b", custom)


TABLE_COLUMNS = (
    "row",
    "n",
    "seeds",
    "experiment",
    "variant",
    "spec",
    "n_families",
    "at_chance",
    "paper_dice",
    "dice_sd",
)


@pytest.mark.parametrize(
    "name", [*case_columns(CLASSES), *metric_names(CLASSES), *TABLE_COLUMNS, "dice_low", "dice_high"]
)
def test_no_custom_metric_takes_a_name_in_use(name: str) -> None:
    assert is_taken(name) or not re.fullmatch(NAME_PATTERN, name)


@pytest.mark.parametrize("name", ["boundary_iou", "volume", "iou", "area_error_mm2", "nsd_1mm"])
def test_other_names_are_free(name: str) -> None:
    assert re.fullmatch(NAME_PATTERN, name)
    assert not is_taken(name)
