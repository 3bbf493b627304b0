"""The page about metrics of one's own: its example runs, and what it promises of tables, figures, and verbs holds."""

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib.style
import numpy as np
import pytest
import yaml

from mmran.cli import main
from mmran.config.configuration import Config
from mmran.config.load import PAPER, load, overlay
from mmran.data.store import SliceStore
from mmran.errors import UserError
from mmran.evaluation.cases import read_cases
from mmran.evaluation.custom_metrics import obstacles
from mmran.evaluation.summary import Summary
from mmran.files import write_json
from mmran.metrics.custom import CustomMetric, custom_metrics, custom_values
from mmran.report.figures import forest, style
from mmran.report.notes import undefined_notes
from mmran.report.overview import headline
from mmran.report.results import read_summary, spec_digest
from mmran.report.tables import metrics_table
from mmran.statistics.rows import Row
from tests.unit.report.evaluated import MULTITASK, SEGMENTER, predict, spec_of
from tests.unit.report.evaluated import read as read_rows
from tests.unit.report.test_tables import spec

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "add-a-metric.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)
    return found


def configured() -> Config:
    """The paper with the page's example laid over it."""
    return Config.checked(overlay(load([PAPER]), yaml.safe_load(block("yaml"))))


@pytest.fixture(scope="module", autouse=True)
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("code")
    (folder / "mypkg").mkdir()
    (folder / "mypkg" / "metrics.py").write_text(block("python"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield
        for name in ("mypkg", "mypkg.metrics"):
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def custom() -> dict[str, CustomMetric]:
    return configured().custom_metrics


@pytest.fixture(scope="module")
def results(tiny: Path, tmp_path_factory: pytest.TempPathFactory, custom: dict[str, CustomMetric]) -> Path:
    """Two networks that segment, one of them with holes, measured by the page's metrics with its command."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "data").symlink_to(tiny / "data")
    (folder / "splits").symlink_to(tiny / "splits")
    write_json(folder / "specs" / "metrics.json", custom_values(custom))
    with SliceStore(folder / "data" / "slices.h5") as store:
        predict(folder, store, MULTITASK, hollow=store.index["slice"].tolist()[::2])
        predict(folder, store, SEGMENTER, classes=False)
    program, *words = shlex.split(block("bash").replace("\\\n", " "))
    assert program == "mmran"
    for name in (MULTITASK, SEGMENTER):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder / "experiments" / name / "paper")
            for link in ("data", "splits", "specs"):
                Path(link).symlink_to(folder / link)
            assert main(words) == 0
    return folder


def table(results: Path, metrics: tuple[str, ...] = ("dice", "boundary_iou", "area_error_mm2"), **changed: Summary):
    names = (MULTITASK, SEGMENTER)
    rows = [{"label": name, "experiment": name} for name in names]
    summaries = {name: read_summary(results, name, "paper") for name in names} | changed
    return metrics_table(
        spec(*rows, metrics=metrics), summaries, {name: spec_digest(results, name, "paper") for name in names}
    )


def test_the_example_can_be_configured_and_tried(custom: dict[str, CustomMetric]) -> None:
    assert configured().table("table4").metrics[-2:] == ("boundary_iou", "area_error_mm2")
    assert obstacles(custom) == {}


def test_its_values_are_those_of_the_functions(results: Path) -> None:
    found = read_cases(results / "experiments" / SEGMENTER / "paper" / "cases.csv")
    # This network predicts the truth.
    assert (found["boundary_iou"] == 1).all()
    assert (found["area_error_mm2"] == 0).all()
    hollow = read_cases(results / "experiments" / MULTITASK / "paper" / "cases.csv")
    assert hollow["area_error_mm2"].max() > 0


def test_a_table_prints_title_unit_and_the_better_direction(results: Path) -> None:
    found = table(results)
    titles = {column.key: column.title for column in found.columns}
    assert titles["boundary_iou"] == "boundary iou (%)"
    assert titles["area_error_mm2"] == "Area error (mm²)"
    with_holes, true = (dict(zip(titles, row, strict=True)) for row in found.rows)
    for name, value in (("boundary_iou", "100.00"), ("area_error_mm2", "0.00")):
        assert (true[name].text, true[name].best, with_holes[name].best) == (value, True, False)


def test_summaries_of_other_metrics_are_refused(results: Path) -> None:
    with pytest.raises(UserError, match="was not measured by metric 'boundary_iuo'; did you mean 'boundary_iou'"):
        table(results, ("boundary_iuo",))
    other = read_summary(results, SEGMENTER, "paper")
    object.__setattr__(other, "custom", custom_metrics({"boundary_iou": "mypkg.metrics:area_error"}))
    with pytest.raises(UserError, match="multi and segmenter were measured by different metrics called boundary_iou"):
        table(results, ("boundary_iou",), **{SEGMENTER: other})


def test_a_table_says_how_many_masks_have_no_value(results: Path) -> None:
    row = Row.read(results / "experiments" / MULTITASK / "paper", label="Multi")
    assert undefined_notes([row], ["dice", "boundary_iou"]) == []
    row.cases.loc[:2, "boundary_iou"] = np.nan
    assert undefined_notes([row], ["dice", "boundary_iou"]) == [
        "boundary iou leaves out masks on which it is not defined: 3 of Multi."
    ]


def test_a_forest_has_a_panel_for_each_metric_that_it_names(results: Path) -> None:
    rows = [{"label": "Multi", "experiment": MULTITASK}, {"label": "Truth", "experiment": SEGMENTER}]
    metrics = ["dice", "boundary_iou", "area_error_mm2"]
    with matplotlib.style.context(["default", style.RC]):
        drawing = forest.draw(spec_of("forest", rows, metrics=metrics), read_rows(results, rows))
        panels = drawing.figure.axes
    assert [axes.get_title() for axes in panels] == ["Dice", "boundary iou", "Area error"]
    assert [axes.get_xlabel() for axes in panels] == [
        "difference to Truth (points)",
        "difference to Truth (points)",
        "difference to Truth (mm²)",
    ]
    means = {name: read_summary(results, name, "paper").variants["raw"]["area_error_mm2"] for name in (MULTITASK,)}
    (point,) = [line for line in panels[2].lines if line.get_marker() == "o"]
    assert point.get_xdata()[0] == pytest.approx(means[MULTITASK])
    with matplotlib.style.context(["default", style.RC]):
        drawing = forest.draw(spec_of("forest", rows, metrics=["boundary"]), read_rows(results, rows))
    assert "not every row was measured by metric 'boundary'; did you mean 'boundary_iou'" in drawing.caption


def test_compare_knows_it_by_its_name(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", str(results), "--against", SEGMENTER, "--metrics"]
    assert main([*words, "boundary_iou", "area_error_mm2"]) == 0
    printed = capsys.readouterr().out
    assert "boundary iou (%), 95 % interval over families" in printed
    assert "Area error (mm²): each row minus segmenter" in printed
    assert main([*words, "boundary"]) == 1
    assert "'boundary' is unknown; did you mean 'boundary_iou'?" in capsys.readouterr().err


def test_the_start_page_prints_its_title(custom: dict[str, CustomMetric]) -> None:
    assert headline({"row": "Net", "boundary_iou": "71.00"}, custom) == "Net: boundary iou (%) 71.00"
