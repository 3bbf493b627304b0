"""Results of three networks on the tiny store: one with both tasks, one with masks alone, one with classes alone."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd

from mmran.config.figures import FigureSpec
from mmran.data.published import CLASSES
from mmran.data.store import SliceStore
from mmran.evaluation.cases import case_columns
from mmran.evaluation.evaluate import evaluate
from mmran.evaluation.prediction_writer import PredictionWriter
from mmran.files import sha256_file, write_json
from mmran.report.figures import make_figure
from mmran.report.figures.rows import Row, read_rows
from mmran.training.record import RunRecord

SEEDS = (7, 9)


MULTITASK, SEGMENTER, CLASSIFIER = "multi", "segmenter", "classifier"


def row_of(cases: list[dict], **changes) -> Row:
    frame = pd.DataFrame(cases).reindex(columns=list(case_columns(CLASSES)))
    frame["seed"] = frame["seed"].fillna(7)
    values = {"label": "Net", "experiment": "net", "style": 0, "variant": "raw", "summary": {}, "predictions": Path()}
    return Row(cases=frame, **(values | changes))


def predict(results: Path, store: SliceStore, name: str, masks=True, classes=True, hollow=(), protocol="paper") -> None:
    """Write, as the workflow does, what a network says: the truth, less the middle of every hollow slice."""
    spec = results / "specs" / "experiments" / f"{name}.json"
    write_json(spec, {"name": name})
    split = results / "splits" / f"{protocol}.csv"
    digests = {"spec": sha256_file(spec), "data": store.digest, "split": sha256_file(split)}
    folder = results / "experiments" / name / "paper"
    random = np.random.default_rng(0)
    with PredictionWriter(folder / "predictions.h5", name, "paper", digests) as writer:
        for seed, number in itertools.product(SEEDS, store.index["slice"]):
            mask = store.read(number)[1].astype(float)
            if number in hollow and seed == SEEDS[0]:
                rows, columns = (int(np.median(places)) for places in np.nonzero(mask))
                mask[rows, columns] = 0
            writer.add(
                number, seed, 0, mask if masks else None, random.dirichlet((1, 1, 1)).astype("f4") if classes else None
            )
    store_path = results / "data" / "slices.h5"
    evaluate(folder / "predictions.h5", store_path, split, folder / "cases.csv", folder / "summary.json")


ROWS = (
    {"label": "Segmenter et al.", "experiment": SEGMENTER},
    {"label": "Classifier", "experiment": CLASSIFIER},
    {"label": "Multi", "experiment": MULTITASK, "variant": "pkp"},
)


def spec_of(kind: str, rows=ROWS, **more) -> FigureSpec:
    return FigureSpec.from_values({"name": "figure", "title": "A title", "kind": kind, "rows": list(rows)} | more)


def draw(results: Path, output: Path, kind: str, rows=ROWS, **more) -> str:
    """Draw a figure and return its caption."""
    store = results / "data" / "slices.h5"
    paths = make_figure(spec_of(kind, rows, **more), results, "paper", store, output / "figure.svg")
    assert [path.suffix for path in paths] == [".svg", ".png", ".pdf", ".txt"]
    return paths[-1].read_text()


def read(results: Path, rows=ROWS) -> list[Row]:
    """Read the rows of a figure."""
    return read_rows(spec_of("outlines", rows), results, "paper")


def run_record(images_per_s: float = 10.0, **changes) -> RunRecord:
    """The record of a training of three epochs in two minutes."""
    values = {"digest": "a" * 64, "experiment": "mmran", "seed": 7, "fold": 0, "data": "d" * 64, "split": "e" * 64}
    values |= {"epochs": 3, "best_epoch": 2, "best_score": 0.5, "evaluated": "best", "accumulate": 1, "seconds": 120.0}
    values |= {"images_per_s": images_per_s, "peak_memory_mb": 900.0 + images_per_s}
    values |= {"weights_sha256": "0" * 64, "history_sha256": "1" * 64, "device": "cpu", "device_name": "A processor"}
    return RunRecord(**{**values, "precision": "float32", "threads": 2, **changes})
