"""The data verbs, run one after the other."""

import argparse
import json
from pathlib import Path

import h5py
import pandas as pd
import pytest

from mmran.cli.data import VERBS
from mmran.data.splits import read_split
from mmran.errors import UserError

CONFIG = Path(__file__).parents[3] / "config.yaml"


def mmran(*words: object) -> None:
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(required=True)
    for verb in VERBS:
        sub = verbs.add_parser(verb.name, help=verb.help, description=verb.description)
        verb.arguments(sub)
        sub.set_defaults(run=verb.run)
    arguments = parser.parse_args([str(word) for word in words])
    arguments.run(arguments)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    mmran("phantom", "--output", folder / "phantom", "--patients", 24, "--size", 32)
    mmran("convert", folder / "phantom", "--output", folder / "slices.h5")
    return folder / "slices.h5"


def test_phantom_and_convert_say_what_they_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mmran("phantom", "--output", tmp_path / "phantom", "--patients", 2, "--size", 32, "--seed", 5)
    mmran("convert", tmp_path / "phantom", "--output", tmp_path / "slices.h5", "--field-of-view-mm", 64)
    out, err = capsys.readouterr()
    assert "slices of 2 patients, and cvind.mat" in out
    assert "slices of 2 patients, 0 MB, 0 files left out" in out
    assert "Traceback" not in err
    assert set(pd.read_csv(tmp_path / "index.csv")["spacing_mm"]) == {2.0}


def test_convert_names_on_stderr_what_it_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mmran("phantom", "--output", tmp_path / "phantom", "--patients", 1, "--size", 32)
    (tmp_path / "phantom" / "99.mat").write_bytes(b"")
    with pytest.raises(UserError, match=r"99\.mat: is an empty file"):
        mmran("convert", tmp_path / "phantom", "--output", tmp_path / "slices.h5")
    mmran("convert", tmp_path / "phantom", "--output", tmp_path / "slices.h5", "--keep-going")
    out, err = capsys.readouterr()
    assert "1 file left out" in out
    assert "99.mat: is an empty file" in err


def test_verify_prints_text_and_writes_json(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mmran("verify", store, "--output", tmp_path / "audit.json")
    assert "ok  whole: every slice still has the checksum" in capsys.readouterr().out
    assert json.loads((tmp_path / "audit.json").read_text())["digest"]["verified"]


def test_verify_fails_on_damage_after_writing_its_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mmran("phantom", "--output", tmp_path / "phantom", "--patients", 1, "--size", 32)
    mmran("convert", tmp_path / "phantom", "--output", tmp_path / "slices.h5")
    with h5py.File(tmp_path / "slices.h5", "r+") as file:
        file["32x32/image"][1, 3, 3] += 1
    with pytest.raises(UserError, match=r"slices\.h5: its content changed after conversion"):
        mmran("verify", tmp_path / "slices.h5", "--output", tmp_path / "audit.json")
    assert json.loads((tmp_path / "audit.json").read_text())["digest"]["damaged"] == [2]
    assert "DAMAGED: 1 slice (2)" in capsys.readouterr().out


@pytest.mark.parametrize(("protocol", "n_folds"), [("paper", 1), ("patient", 5), ("cvind", 5)])
def test_split_writes_a_csv_and_its_report(
    store: Path, tmp_path: Path, protocol: str, n_folds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "splits" / f"{protocol}.csv"
    mmran("split", store, "--protocol", protocol, "--config", CONFIG, "--output", output)
    assert read_split(output)["fold"].nunique() == n_folds
    report = json.loads(output.with_suffix(".json").read_text())
    assert len(report["folds"]) == n_folds
    assert (report["siblings"]["same_pid"] > 0) == (protocol == "paper")
    assert (report["siblings"]["same_family"] > 0) == (protocol != "patient")
    assert "of the same family" in capsys.readouterr().out


def test_split_takes_a_protocol_from_a_file(store: Path, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text('{"method": "family", "folds": 4, "seed": 1, "apart": "family"}')
    mmran("split", store, "--spec", tmp_path / "spec.json", "--output", tmp_path / "split.csv")
    assert read_split(tmp_path / "split.csv")["fold"].nunique() == 4


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--protocol", "papers", "--output", "x.csv"], "no protocol 'papers'; did you mean 'paper'"),
        (["--protocol", "paper", "--output", "x.json"], "expected a name ending in .csv"),
    ],
)
def test_split_says_what_it_expected(store: Path, words: list[str], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        mmran("split", store, "--config", CONFIG, *words)


def test_a_spec_must_be_an_object(store: Path, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text("[]")
    with pytest.raises(UserError, match=r"spec\.json: expected a JSON object"):
        mmran("split", store, "--spec", tmp_path / "spec.json", "--output", tmp_path / "split.csv")
