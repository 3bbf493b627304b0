"""Metrics from outside the package, from their functions to cases.csv and summary.json."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from mmran.errors import UserError
from mmran.evaluation.cases import read_cases
from mmran.evaluation.custom_metrics import Measure, load_measures, obstacles, read_custom_metrics
from mmran.evaluation.evaluate import evaluate
from mmran.evaluation.summary import Summary
from mmran.metrics.custom import CustomMetric, custom_metrics
from tests.unit.evaluation.conftest import certain, predict, ring, solid

CODE = """
import math
import numpy as np
from helper_of_areas import area

def predicted_area(predicted, truth, spacing_mm):
    return area(predicted, spacing_mm)

def overlap_or_nan(predicted, truth, spacing_mm):
    return float((predicted & truth).sum() / truth.sum()) if predicted.any() else math.nan

def fails_on_rings(predicted, truth, spacing_mm):
    if predicted.sum() == 8:
        raise ZeroDivisionError("no ring")
    return 1

def nothing(predicted, truth, spacing_mm):
    pass

def array(predicted, truth, spacing_mm):
    return np.zeros(1)

def endless(predicted, truth, spacing_mm):
    return math.inf

def percents(predicted, truth, spacing_mm):
    return 45.0

def without_spacing(predicted, truth):
    return 1.0

def draws(predicted, truth, spacing_mm):
    predicted[0, 0] = True
    return 1.0
"""
DEFINITIONS = custom_metrics(
    {
        "area_mm2": {"function": "my_own_metrics:predicted_area", "unit": "mm²", "better": "lower"},
        "hit": "my_own_metrics:overlap_or_nan",
    }
)


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "my_own_metrics.py").write_text(CODE)
    (folder / "helper_of_areas.py").write_text("def area(mask, spacing_mm):\n    return mask.sum() * spacing_mm**2\n")
    monkeypatch.syspath_prepend(folder)


def measured(tmp_path: Path, store: Path, split: Path, custom: dict[str, CustomMetric], *cases: tuple) -> Summary:
    predict(tmp_path / "p.h5", store, split, cases)
    written = (tmp_path / "cases.csv", tmp_path / "summary.json")
    return evaluate(tmp_path / "p.h5", store, split, *written, custom)


def test_a_metric_is_a_column_of_every_variant_and_a_mean_over_the_slices_where_it_is_defined(tmp_path, store, split):
    empty = np.zeros((8, 8), dtype=np.float32)
    cases = [(1, 7, 0, solid(), certain(1)), (2, 7, 0, ring(), certain(1)), (3, 7, 0, empty, certain(1))]
    summary = measured(tmp_path, store, split, DEFINITIONS, *cases)
    found = read_cases(tmp_path / "cases.csv").set_index(["slice", "variant"])
    assert found.columns[-2:].tolist() == ["area_mm2", "hit"]
    # Pixels of 1 mm2: 9 of the solid square, 8 of the ring, 9 where its hole is filled.
    assert [found.loc[place, "area_mm2"] for place in ((1, "raw"), (2, "raw"), (2, "pkp"), (3, "raw"))] == [9, 8, 9, 0]
    assert found.loc[(2, "raw"), "hit"] == 8 / 9
    assert math.isnan(found.loc[(3, "raw"), "hit"])
    # (9 + 8 + 0) / 3; of the share, the empty mask is left out: (1 + 8/9) / 2.
    assert summary.variants["raw"]["area_mm2"] == pytest.approx(17 / 3)
    assert summary.variants["raw"]["hit"] == pytest.approx(17 / 18)
    assert summary.variants["pkp"]["hit"] == 1
    assert {"my_own_metrics", "helper_of_areas"} <= summary.code.keys()
    read = Summary.read(tmp_path / "summary.json")
    assert read.custom == DEFINITIONS
    assert read.variants == summary.variants
    assert read.metric("area_mm2").title == "area mm2 (mm²)"


def test_without_custom_metrics_the_files_do_not_mention_them(tmp_path, store, split):
    measured(tmp_path, store, split, {}, (1, 7, 0, solid(), certain(1)))
    assert "custom" not in json.loads((tmp_path / "summary.json").read_text())
    assert (tmp_path / "cases.csv").read_text().partition("\n")[0].endswith(",predicted")


def test_a_network_without_masks_has_no_value(tmp_path, store, split):
    summary = measured(tmp_path, store, split, DEFINITIONS, (1, 7, 0, None, certain(1)))
    assert summary.variants["raw"]["area_mm2"] is None
    assert Summary.read(tmp_path / "summary.json").variants["raw"]["hit"] is None


def test_a_failure_names_metric_function_slice_and_variant(tmp_path, store, split):
    custom = custom_metrics({"odd": "my_own_metrics:fails_on_rings"})
    with pytest.raises(UserError) as error:
        measured(tmp_path, store, split, custom, (2, 7, 0, ring(), certain(1)))
    assert str(error.value) == (
        "evaluation.metrics.odd: my_own_metrics:fails_on_rings fails on slice 2, variant raw "
        "(ZeroDivisionError: no ring)"
    )
    assert not (tmp_path / "cases.csv").exists()


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("my_own_metrics:nothing", "returns a NoneType on a trial slice"),
        ("my_own_metrics:array", r"returns a ndarray of shape \(1,\) on .*, expected one number, NaN where"),
        ("my_own_metrics:endless", "returns inf on .*, expected a finite number"),
        ("my_own_metrics:percents", "returns 45 on .*, expected 0 to 1, as its unit is percent"),
        ("my_own_metrics:without_spacing", "fails on a trial slice .* takes 2 positional arguments but 3 were given"),
        ("my_own_metrics:draws", "fails on .* read-only"),
        ("my_own_metrics:gone", "my_own_metrics has no function 'gone'"),
        ("my_own_metricss:f", "cannot import 'my_own_metricss' .* is it on PYTHONPATH"),
    ],
)
def test_what_cannot_measure_is_found_on_small_masks(function: str, said: str) -> None:
    found = obstacles(custom_metrics({"odd": function}))
    assert list(found) == ["odd"]
    assert "\n" not in found["odd"]
    assert found["odd"].startswith("config: evaluation.metrics.odd")
    assert re.search(said, found["odd"])


def test_what_can_measure_has_no_obstacle() -> None:
    assert obstacles(DEFINITIONS) == {}


def test_a_name_in_use_is_refused_whatever_wrote_the_definitions() -> None:
    with pytest.raises(UserError, match=r"evaluation\.metrics\.dice: mmran has a metric or column of this name"):
        load_measures(custom_metrics({"dice": "my_own_metrics:nothing"}))


@pytest.mark.parametrize("value", [np.float32(0.5), np.int64(1), True, np.bool_(True), 0, math.nan])
def test_any_single_number_is_a_value(value: object) -> None:
    one = Measure("m", CustomMetric("m:f", "m"), lambda predicted, truth, spacing_mm: value)
    mask = np.zeros((2, 2), dtype=bool)
    assert one(mask, mask, 1.0, "here") == pytest.approx(float(value), nan_ok=True)


def test_definitions_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text('{"hit": "my_own_metrics:overlap_or_nan"}')
    assert read_custom_metrics(path) == {"hit": DEFINITIONS["hit"]}
    assert read_custom_metrics(None) == {}
    path.write_text('{"hit": {"unit": "mm"}}')
    with pytest.raises(UserError, match=r"metrics\.json: not definitions of metrics"):
        read_custom_metrics(path)
