"""The records of trainings: read back as written, and one line for any that is damaged."""

from pathlib import Path
from typing import Any

import pytest

from mmran.errors import UserError
from mmran.files import write_json
from mmran.networks.published_names import EncoderReport
from mmran.training.record import RunRecord, read_runs, write_runs

RECORD = RunRecord(
    digest="d" * 64,
    experiment="dynamic",
    seed=7,
    fold=2,
    data="a" * 64,
    split="b" * 64,
    epochs=3,
    best_epoch=1,
    best_score=0.5,
    evaluated="best",
    accumulate=1,
    seconds=12.5,
    images_per_s=20.0,
    peak_memory_mb=300.0,
    weights_sha256="c" * 64,
    history_sha256="e" * 64,
    device="cpu",
    device_name="CPU",
    precision="float32",
    threads=1,
    mask_prior=0.02,
    encoder=EncoderReport(3, ("conv1.weight",), ("fc.bias",), ("conv1: summed",)),
    versions={"torch": "2"},
)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    RECORD.write(tmp_path / "run.json")
    assert RunRecord.read(tmp_path / "run.json") == RECORD
    write_runs(tmp_path / "runs.json", [RECORD, RECORD])
    assert read_runs(tmp_path / "runs.json") == [RECORD, RECORD]


def test_a_record_names_its_trial() -> None:
    assert RECORD.trial == RECORD.to_values()["trial"] == "seed7-fold2"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"seconds": "12"}, "seconds: '12' is not of type float"),
        ({"epochs": True}, "epochs: True is not of type int"),
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"digest": None}, "lacks 'digest'"),
    ],
)
def test_a_damaged_record_is_one_line_with_the_key(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    values = {key: value for key, value in (RECORD.to_values() | change).items() if key != "digest" or value}
    write_json(tmp_path / "run.json", values)
    with pytest.raises(UserError) as raised:
        RunRecord.read(tmp_path / "run.json")
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("values", [[], {}, [1], None, "text"])
def test_runs_that_are_no_list_of_records_are_refused(tmp_path: Path, values: Any) -> None:
    write_json(tmp_path / "runs.json", values)
    with pytest.raises(UserError, match=r"runs\.json: not the record of a training"):
        read_runs(tmp_path / "runs.json")
