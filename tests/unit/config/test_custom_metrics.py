"""Metrics from outside the package in a configuration: what is refused, and what reruns."""

import json
from pathlib import Path
from typing import Any

import pytest

from mmran.config.configuration import Config
from mmran.config.jobs import plan_jobs
from mmran.config.specs import stage_texts
from mmran.errors import UserError
from tests.unit.config.finished import small

METRICS = {
    "boundary_iou": "metrics_of_mine:f",
    "area_error": {"function": "metrics_of_mine:g", "title": "Area error", "unit": "mm²", "better": "lower"},
}
TABLE = {"table2": {"metrics": ["dice", "boundary_iou", "area_error"]}}


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rims_of_mine.py").write_text("WIDTH = 2\n")
    path = tmp_path / "metrics_of_mine.py"
    path.write_text("from rims_of_mine import WIDTH\n\ndef f(a, b, c):\n    return 1\n\ng = f\n")
    monkeypatch.syspath_prepend(tmp_path)
    return path


def config(metrics: Any = METRICS, **more: Any) -> Config:
    return small(evaluation={"metrics": metrics}, **more)


def test_tables_claims_and_forests_show_a_metric_by_its_name() -> None:
    figures = {"forest": {"title": "T", "kind": "forest", "metrics": ["area_error", "acc"]}}
    figures["forest"]["rows"] = [{"label": "SE", "experiment": "se"}, {"label": "Plain", "experiment": "plain"}]
    claims = [{"sentence": "s", "row": "se", "against": ["baseline"], "metrics": ["boundary_iou"]}]
    found = config(tables=TABLE, figures=figures, claims=claims)
    assert found.table("table2").metrics == ("dice", "boundary_iou", "area_error")
    assert found.figure("forest").metrics == ("area_error", "acc")
    assert found.comparison.metrics == ("dice", "acc", "boundary_iou", "area_error")
    assert [claim.metric for claim in found.comparison.claims] == ["boundary_iou"]
    assert found.custom_metrics["area_error"].metric.title == "Area error (mm²)"
    # As jobs on other machines read it.
    assert Config.checked(found.values).custom_metrics == found.custom_metrics


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"dice": "m:f"}, r"evaluation\.metrics\.dice: mmran has a metric or column of this name"),
        ({"overlaps": "m:f"}, "mmran has a metric or column of this name"),
        ({"auc_rim": "m:f"}, r"evaluation\.metrics: 'auc_rim' .*does not start with p_, n_, auc_"),
        ({"rim_sd": "m:f"}, "does not end with"),
        ({"Rim": "m:f"}, "Small letters"),
        ({"rim": "boundary"}, r"evaluation\.metrics\.rim: 'boundary' .*package\.module:function"),
        ({"rim": {"title": "Rim"}}, r"evaluation\.metrics\.rim: .*'function' is a required"),
        ({"rim": {"function": "m:f", "direction": "low"}}, "unknown key 'direction'"),
        ({"rim": {"function": "m:f", "better": "low"}}, "'low' is unknown"),
    ],
)
def test_what_no_metric_can_be_is_refused_in_one_line(metrics: Any, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        config(metrics)
    assert "\n" not in str(error.value)


def test_a_mistyped_metric_of_a_table_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match=r"tables\.table2\.metrics\.1: 'boundry_iou' .*did you mean 'boundary_iou'"):
        config(tables={"table2": {"metrics": ["dice", "boundry_iou"]}})


def test_only_a_forest_has_metrics() -> None:
    with pytest.raises(UserError, match=r"figures\.figure8: only kind forest uses metrics"):
        config(figures={"figure8": {"metrics": ["dice"]}})


def test_definitions_and_code_decide_evaluations_alone(module: Path) -> None:
    jobs, without = plan_jobs(config()), plan_jobs(small())
    changed = {
        name for name, job in jobs.items() if job.values != without[name].values or job.code != without[name].code
    }
    assert {name.partition("/")[0] for name in changed} == {"evaluate", "nearest_slice"}
    evaluate = jobs["evaluate/se/paper"]
    assert evaluate.values["metrics"]["area_error"]["unit"] == "mm²"
    assert {"metrics_of_mine", "rims_of_mine"} <= evaluate.code.keys()


@pytest.mark.parametrize("edited", ["metrics_of_mine.py", "rims_of_mine.py"])
def test_an_edit_of_the_function_or_of_what_it_imports_reruns_what_shows_it_and_no_training(
    module: Path, edited: str
) -> None:
    before = {name: job.digest for name, job in plan_jobs(config(tables=TABLE)).items()}
    path = module.with_name(edited)
    path.write_text(path.read_text() + "\nMORE = 1\n")
    after = {name: job.digest for name, job in plan_jobs(config(tables=TABLE)).items()}
    stages = {name.partition("/")[0] for name in after if after[name] != before[name]}
    assert stages == {"evaluate", "nearest_slice", "table", "figure", "compare", "overview"}


def test_without_custom_metrics_specifications_and_jobs_do_not_mention_them() -> None:
    found = small()
    assert "metrics.json" not in stage_texts(found)
    assert plan_jobs(found)["evaluate/se/paper"].values == {}
    assert "metrics" not in json.loads(stage_texts(found)["figures/figure8.json"])
    assert "metrics.json" in stage_texts(config())
