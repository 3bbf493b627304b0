"""`mmran verify-results` reads everything that records name."""

import dataclasses
from pathlib import Path

import pytest

from mmran.cli import main
from mmran.config.fingerprints import Fingerprint
from mmran.config.job import Job
from mmran.config.made import Made


def made(results: Path) -> Path:
    """A finished job with a small file, and a large one in a folder; returns the large one."""
    large = results / "trials" / "weights.safetensors"
    large.parent.mkdir(parents=True)
    large.write_bytes(bytes(2**20 + 1))
    (results / "runs.json").write_text("{}")
    job = Job("train/se/paper", {}, {}, outputs=("runs.json", "trials"))
    Made.of(results, job).write(results)
    return large


def test_whole_results_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path)
    assert main(["verify-results", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "2 files of 1 jobs read, 0 changed since they were made\n"


def test_a_bit_that_a_disk_flipped_and_a_file_that_is_gone_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    large = made(tmp_path)
    record = Made.read(tmp_path, "train/se/paper")
    assert record is not None
    name = "trials/weights.safetensors"
    known = record.files[name]
    assert isinstance(known, Fingerprint)
    large.write_bytes(bytes(2**20) + b"\1")
    # A disk that fails leaves the times as they were.
    now = dataclasses.replace(Fingerprint.of(large, read=False), sha256=known.sha256)
    Made(record.job, {**record.files, name: now}).write(tmp_path)
    (tmp_path / "runs.json").unlink()
    assert main(["verify-results", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "trials/weights.safetensors was edited after it was made",
        "runs.json is missing",
        "2 files of 1 jobs read, 2 changed since they were made",
    ]
    assert "remove the file and run snakemake to recreate it" in said.err


def test_a_folder_without_records_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify-results", str(tmp_path)]) == 1
    assert "no records of finished jobs" in capsys.readouterr().err
