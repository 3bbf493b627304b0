"""Results of a data set with other classes than the published one: every column, statistic, and figure follows them."""

import csv
from pathlib import Path

import numpy as np
import pytest

from mmran.config.tables import TableSpec
from mmran.data.convert import convert
from mmran.data.protocol import Protocol
from mmran.data.splits import make_split
from mmran.data.store import SliceStore
from mmran.evaluation.cases import read_cases
from mmran.evaluation.evaluate import evaluate
from mmran.evaluation.prediction_writer import PredictionWriter
from mmran.evaluation.summary import Summary
from mmran.files import sha256_file, write_json, write_text
from mmran.report.evidence import write_evidence
from mmran.report.figures.confusion import counts
from mmran.report.formats import to_csv
from mmran.report.results import read_summary, spec_digest
from mmran.report.tables import metrics_table
from mmran.report.uncertainty import measure
from mmran.statistics.collection import Statistics
from mmran.statistics.nearest_slice import predict_nearest
from mmran.statistics.rows import Row
from tests.own_data import draw
from tests.unit.report.evaluated import draw as draw_figure
from tests.unit.report.evaluated import read

BINARY, FIVE = ("benign", "malignant"), ("a", "b", "c", "d", "grade_5")
ROWS = ({"label": "Net", "experiment": "net"},)


def evaluated(folder: Path, classes: tuple[str, ...]) -> Path:
    """Results of a network that is right about three slices in four, with masks as they are."""
    convert([draw(folder / "own", classes, n=40)], folder / "data" / "slices.h5", classes=classes)
    store = SliceStore(folder / "data" / "slices.h5")
    protocol = Protocol.from_values({"method": "family", "folds": 4, "seed": 1, "apart": "family"}, "protocol")
    split = folder / "splits" / "paper.csv"
    write_text(split, make_split(store.index, protocol).to_csv(index=False))
    spec = folder / "specs" / "experiments" / "net.json"
    write_json(spec, {})
    digests = {"spec": sha256_file(spec), "data": store.digest, "split": sha256_file(split)}
    results = folder / "experiments" / "net" / "paper"
    with PredictionWriter(results / "predictions.h5", "net", "paper", digests, store.classes) as writer:
        for i, (number, label) in enumerate(zip(store.index["slice"], store.index["label"], strict=True)):
            said = (label - 1 + (i % 4 == 0)) % len(classes)
            scores = np.full(len(classes), 0.2 / (len(classes) - 1)) + 0.001 * i
            scores[said] = 0.8
            writer.add(number, 7, 0, store.read(number)[1].astype(float), scores / scores.sum())
    evaluate(
        results / "predictions.h5", folder / "data/slices.h5", split, results / "cases.csv", results / "summary.json"
    )
    return folder


@pytest.fixture(scope="module", params=[BINARY, FIVE], ids=["two", "five"])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    return evaluated(tmp_path_factory.mktemp("classes"), request.param), request.param


def test_cases_and_summary_have_a_column_per_class(results: tuple[Path, tuple[str, ...]]) -> None:
    folder, classes = results
    cases = read_cases(folder / "experiments/net/paper/cases.csv")
    assert [name for name in cases.columns if name.startswith("p_")] == [f"p_{name}" for name in classes]
    values = Summary.read(folder / "experiments/net/paper/summary.json").variants["raw"]
    # Every fourth of 40 slices is wrong.
    assert values["acc"] == 0.75
    assert [name for name in values if name.startswith("auc_") and not name.endswith("_released")] == [
        *(f"auc_{name}" for name in classes),
        "auc_macro",
    ]
    assert not any("glioma" in name for name in values)


def test_two_classes_have_one_auc(tmp_path: Path) -> None:
    """With two classes, a score of one is the complement of the other's, and so is the order that AUC measures."""
    values = Summary.read(evaluated(tmp_path, BINARY) / "experiments/net/paper/summary.json").variants["raw"]
    assert values["auc_benign"] == pytest.approx(values["auc_malignant"], abs=1e-12)
    assert values["auc_macro"] == pytest.approx(values["auc_benign"], abs=1e-12)


def test_tables_and_statistics_follow_the_classes(results: tuple[Path, tuple[str, ...]], tmp_path: Path) -> None:
    folder, classes = results
    row = Row.read(folder / "experiments/net/paper")
    metrics = (*(f"auc_{name}" for name in classes), "acc", "rec", "dice")
    spec = TableSpec.from_values(
        {"name": "t", "title": "T", "kind": "metrics", "metrics": list(metrics), "rows": list(ROWS)}
    )
    summaries = {"net": read_summary(folder, "net", "paper")}
    table = metrics_table(spec, summaries, {"net": spec_digest(folder, "net", "paper")}, measure([row], metrics))
    (line,) = csv.DictReader(to_csv(table).splitlines())
    assert line["acc"] == "75.00"
    values = Summary.read(folder / "experiments/net/paper/summary.json").variants["raw"]
    for name in metrics:
        assert float(line[name]) == pytest.approx(100 * values[name], abs=0.005)
        assert float(line[f"{name}_low"]) <= float(line[name]) <= float(line[f"{name}_high"]) + 0.05
    statistics = Statistics.of([row], row, metrics, ())
    assert {one.tumor_class for one in statistics.per_class} == set(classes)
    assert {one.stratum for one in statistics.strata if one.stratum.startswith("class")} == {
        f"class: {name}" for name in classes
    }
    assert not any("MR patients" in one.stratum for one in statistics.strata)
    write_evidence(statistics, tmp_path)


def test_figures_have_a_panel_and_a_cell_per_class(results: tuple[Path, tuple[str, ...]], tmp_path: Path) -> None:
    folder, classes = results
    (row,) = read(folder, ROWS)
    matrix = counts(row)
    assert matrix.shape == (len(classes), len(classes))
    assert matrix.sum() == 40
    assert matrix.trace() == 30
    for kind in ("roc", "confusion", "reliability", "cases", "outlines"):
        assert "40 test slices" in draw_figure(folder, tmp_path, kind, ROWS)
    picture = (tmp_path / "figure.svg").read_text()
    assert "glioma" not in picture
    draw_figure(folder, tmp_path, "roc", ROWS)
    picture = (tmp_path / "figure.svg").read_text()
    assert all(name.replace("_", " ") in picture for name in classes)


def test_the_nearest_training_slice_says_a_class_of_the_data(results: tuple[Path, tuple[str, ...]]) -> None:
    folder, classes = results
    summary = predict_nearest(folder / "data/slices.h5", folder / "splits/paper.csv", folder / "nearest")
    assert set(summary.variants["raw"]) >= {f"auc_{name}" for name in classes}
