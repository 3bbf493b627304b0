import json
from argparse import ArgumentParser

import pandas as pd
import pytest

from mmran.cli.results import VERBS
from mmran.data.published import CLASSES
from mmran.errors import UserError
from mmran.evaluation.cases import typed_cases, write_cases
from mmran.evaluation.record import InferenceRecord, write_inference
from mmran.evaluation.summary import Summary
from mmran.files import canonical_json, sha256_file, sha256_text, write_json, write_text
from mmran.training.record import write_runs
from tests.unit.report.evaluated import run_record
from tests.unit.report.test_sizes import NETWORKS
from tests.unit.report.test_tables import ROWS, read, spec


@pytest.fixture
def results(tmp_path):
    """A results folder with the experiment `dynamic`, evaluated, and a table of it."""
    folder = tmp_path / "results"
    text = canonical_json({"name": "dynamic"})
    write_text(folder / "specs/experiments/dynamic.json", text)
    evaluated = folder / "experiments/dynamic/paper"
    values = {"experiment": "dynamic", "protocol": "paper", "seed": 7, "fold": 0, "slice": 1, "variant": "raw"}
    values |= {"pid": "1", "family": "1", "label": 1, "size_tertile": 1, "dice": 0.5, "missed": 0, "overlaps": 1}
    cases = typed_cases(pd.DataFrame([values]), CLASSES)
    write_cases(evaluated / "cases.csv", cases)
    digests = {"spec": sha256_text(text), "data": "d", "split": "e", "cases": sha256_file(evaluated / "cases.csv")}
    Summary.of(cases, digests, {}).write(evaluated / "summary.json")
    write_text(folder / "specs/tables/table1.json", spec(ROWS[1]).to_json())
    return folder


def mmran_table(*arguments: object) -> None:
    verb = next(verb for verb in VERBS if verb.name == "table")
    parser = ArgumentParser()
    verb.arguments(parser)
    verb.run(parser.parse_args([str(argument) for argument in arguments]))


def table1(results):
    output = results / "tables/paper/table1.csv"
    spec_path = results / "specs/tables/table1.json"
    mmran_table("--spec", spec_path, "--results", results, "--protocol", "paper", "--output", output)
    return output


def test_the_verb_writes_four_files_beside_each_other_and_names_them(results, capsys):
    output = table1(results)
    written = sorted(path.name for path in output.parent.iterdir())
    assert written == ["table1.csv", "table1.html", "table1.md", "table1.tex"]
    assert read(output.read_text())[0]["dice"] == "50.00"
    assert capsys.readouterr().out.split() == [str(output.with_suffix(f".{e}")) for e in ("csv", "md", "tex", "html")]


def test_the_verb_refuses_cases_that_changed_after_the_summary(results):
    path = results / "experiments/dynamic/paper/cases.csv"
    path.write_text(path.read_text().replace("0.5", "0.9"))
    with pytest.raises(UserError, match=r"summary\.json: not made from .*cases\.csv as it is now"):
        table1(results)
    assert not (results / "tables").exists()


def test_the_verb_refuses_results_of_a_specification_that_has_changed(results):
    write_json(results / "specs/experiments/dynamic.json", {"name": "dynamic", "epochs": 3})
    with pytest.raises(UserError, match="dynamic was measured under specification"):
        table1(results)


def test_the_verb_refuses_the_summary_of_another_experiment(results):
    path = results / "experiments/dynamic/paper/summary.json"
    write_json(path, json.loads(path.read_text()) | {"experiment": "another"})
    with pytest.raises(UserError, match=r"experiment is another, but dynamic follows"):
        table1(results)


def test_the_verb_names_a_missing_summary_and_what_to_do(results):
    (results / "experiments/dynamic/paper/summary.json").unlink()
    with pytest.raises(UserError, match=r"summary\.json: no such file; evaluate dynamic under protocol paper first"):
        table1(results)


def test_the_verb_makes_a_table_of_parameters_from_the_list_of_networks(tmp_path):
    write_json(tmp_path / "networks" / "table3.json", NETWORKS)
    row = {"label": "MMRAN", "experiment": "mmran", "paper": {"params_m": 42.73}}
    write_json(tmp_path / "table3.json", {"name": "table3", "title": "Sizes", "kind": "parameters", "rows": [row]})
    machine = {"device": "cpu", "device_name": "A processor", "precision": "float32", "threads": 2}
    folder = tmp_path / "experiments" / "mmran" / "paper"
    write_runs(folder / "runs.json", [run_record(speed, **machine) for speed in (10.0, 12.0, 11.0)])
    write_inference(folder / "inference.json", [InferenceRecord("seed7-fold0", 3, 40.0, 500.4, **machine)])
    output = tmp_path / "table3.csv"
    mmran_table("--spec", tmp_path / "table3.json", "--results", tmp_path, "--protocol", "paper", "--output", output)
    (found,) = read(output.read_text())
    assert found["gmacs"] == "634.25"
    # The median speed and the greatest memory of the three trials.
    assert list(found.values())[-4:] == ["11.0", "912", "40.0", "500"]
    assert "on A processor, float32, threads: 2" in output.with_suffix(".md").read_text()


def test_the_verb_names_a_file_that_is_no_table(tmp_path):
    write_json(tmp_path / "odd.json", {"kind": "pie", "rows": []})
    with pytest.raises(UserError, match="kind: 'pie' is unknown, expected one of metrics, parameters"):
        mmran_table(
            "--spec",
            tmp_path / "odd.json",
            "--results",
            tmp_path,
            "--protocol",
            "paper",
            "--output",
            tmp_path / "t.csv",
        )
