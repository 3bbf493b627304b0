"""Slices, predictions and an evaluation of them, shared by the tests of this room."""

import json

import numpy as np
import pandas as pd
import pytest

from mmran.data.cheng import Slice, write_slice
from mmran.data.convert import convert
from mmran.data.store import SliceStore
from mmran.evaluation.cases import read_cases
from mmran.evaluation.evaluate import evaluate
from mmran.evaluation.prediction_writer import PredictionWriter
from mmran.files import sha256_file, write_text

# Eight columns of 1 mm: with this field of view the spacing of the 8 x 8 slices is 1 mm, of the 4 x 4 one 2 mm.
FIELD_OF_VIEW_MM = 8.0
LABELS = {1: 1, 2: 2, 3: 3, 4: 2}


def ring() -> np.ndarray:
    """A 3 x 3 ring of 8 pixels around the hole (3, 3)."""
    mask = np.zeros((8, 8), dtype=np.float32)
    mask[2:5, 2:5] = 1
    mask[3, 3] = 0
    return mask


def solid() -> np.ndarray:
    mask = ring()
    mask[3, 3] = 1
    return mask


@pytest.fixture
def store(tmp_path):
    """Slices 1, 2, 3 of 8 x 8 with a solid 3 x 3 tumor, slice 4 of 4 x 4 with one pixel."""
    folder = tmp_path / "mat"
    folder.mkdir()
    small = np.zeros((4, 4), dtype=np.uint8)
    small[1, 1] = 1
    for number, label in LABELS.items():
        mask = small if number == 4 else solid().astype(np.uint8)
        image = np.arange(mask.size, dtype=np.int16).reshape(mask.shape)
        border = np.array([[1.0, 1.0], [2.0, 2.0]])
        write_slice(folder, Slice(number, label, f"10{number}A", image, mask, border))
    path = tmp_path / "data" / "slices.h5"
    convert([folder], path, field_of_view_mm=FIELD_OF_VIEW_MM)
    return path


def certain(label: int) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[label - 1]


@pytest.fixture
def split(tmp_path):
    """Two folds; slices 1 to 3, of 9 mm2 each, train in the first, slice 4, of 4 mm2, in the second."""
    rows = ["slice,pid,family,label,fold,role"]
    for fold, training in ((0, (1, 2, 3)), (1, (4,))):
        rows += [
            f"{number},10{number}A,10{number},{label},{fold},{'train' if number in training else 'test'}"
            for number, label in LABELS.items()
        ]
    path = tmp_path / "splits" / "paper.csv"
    write_text(path, "\n".join(rows) + "\n")
    return path


def predict(path, store, split, cases, digests=None):
    """Write predictions of (slice, seed, fold, mask, class probabilities)."""
    own = {"spec": "1" * 64, "data": SliceStore(store).digest, "split": sha256_file(split)}
    digests = own | (digests or {})
    with PredictionWriter(path, "mmran", "paper", digests) as writer:
        for case in cases:
            writer.add(*case)


@pytest.fixture
def run(tmp_path, store, split):
    """Evaluate predictions; return cases and summary as they stand in the files."""

    def run(*cases) -> tuple[pd.DataFrame, dict]:
        predict(tmp_path / "p.h5", store, split, cases)
        evaluate(tmp_path / "p.h5", store, split, tmp_path / "out/cases.csv", tmp_path / "out/summary.json")
        return read_cases(tmp_path / "out/cases.csv"), json.loads((tmp_path / "out/summary.json").read_text())

    return run
