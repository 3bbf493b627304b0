"""The record of a protocol: what it accepts, and what it refuses in one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from mmran.data.protocol import Protocol
from mmran.errors import UserError

VALUES: list[dict[str, Any]] = [
    {"method": "slice", "apart": "none", "fractions": [0.8, 0.1, 0.1], "seed": 1029, "stratify": False},
    {"method": "family", "apart": "family", "folds": 5, "seed": 7, "stratify": True, "patients_per_class": 5},
    {"method": "cvind", "apart": "pid", "folds": 5},
    {"method": "file", "apart": "pid", "path": "mine.csv"},
]


@pytest.mark.parametrize("values", VALUES, ids=lambda values: values["method"])
def test_a_protocol_reads_back_as_it_was_written(values: dict[str, Any], tmp_path: Path) -> None:
    protocol = Protocol.from_values(values)
    path = tmp_path / "protocol.json"
    path.write_text(protocol.to_json())
    assert Protocol.read(path) == protocol
    assert json.loads(protocol.to_json()) == values


def test_a_null_is_an_absent_key() -> None:
    protocol = Protocol.from_values({"method": "cvind", "seed": None, "patients_per_class": None})
    assert protocol == Protocol("cvind")


def test_splits_are_stratified_unless_told_otherwise() -> None:
    assert Protocol.from_values({"method": "family", "folds": 5, "seed": 1}).stratify


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"method": "patients"}, "method 'patients', expected slice, family, cvind, file"),
        ({"method": ["slice"]}, r"method \['slice'\], expected slice"),
        ({"apart": "always"}, "apart 'always', expected none, pid, family"),
        ({"fraction": [1]}, "unknown key fraction, expected method, apart, fractions"),
        ({"fractions": [0.8, 0.2]}, r"fractions \[0.8, 0.2\], expected train, val and test"),
        ({"fractions": [0.8, 0.3, 0.1]}, "together 1"),
        ({"fractions": [1.2, -0.1, -0.1]}, "each above 0"),
        ({"fractions": ["a", "b", "c"]}, "expected train, val and test"),
        ({"fractions": [float("nan"), 0.5, 0.5]}, "expected train, val and test"),
        ({"fractions": None}, "method slice needs fractions"),
        ({"seed": -1}, "seed -1, expected a whole number from 0"),
        ({"seed": True}, "seed True, expected a whole number from 0"),
        ({"seed": 1.5}, "seed 1.5, expected a whole number from 0"),
        ({"stratify": "no"}, "stratify 'no', expected true or false"),
        ({"folds": 5}, "method slice does not use folds; remove it"),
        ({"path": "mine.csv"}, "method slice does not use path; remove it"),
        ({"tested_folds": 1}, "method slice does not use tested_folds; remove it"),
        (
            {"method": "family", "fractions": None, "folds": 5, "tested_folds": 6},
            "tested_folds 6, expected at most 5, its folds",
        ),
        ({"patients_per_class": 0}, "patients_per_class 0, expected at least 1"),
        ({"method": "family"}, "method family does not use fractions"),
        ({"method": "file", "fractions": None, "seed": None}, "method file needs path"),
        ({"method": "file", "fractions": None, "seed": None, "path": "a", "patients_per_class": 3}, "does not use pat"),
        ({"method": "cvind", "fractions": None}, "method cvind does not use seed; remove it"),
        ({"method": "family", "fractions": None, "folds": 2}, "folds 2, expected at least 3: one tests"),
    ],
)
def test_a_wrong_value_is_named(change: dict[str, Any], reason: str) -> None:
    values = {"method": "slice", "fractions": [0.8, 0.1, 0.1], "seed": 1029}
    with pytest.raises(UserError, match=r"^protocols\.mine: .*" + reason):
        Protocol.from_values({**values, **change}, "protocols.mine")


@pytest.mark.parametrize("text", ["[]", "3", "null", '"paper"'])
def test_a_file_that_holds_no_object_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"spec\.json: expected a JSON object such as"):
        Protocol.read(path)
