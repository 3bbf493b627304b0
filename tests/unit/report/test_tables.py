import csv
import json
import re
from argparse import ArgumentParser

import pandas as pd
import pytest

from mmran.cli.results import VERBS
from mmran.config.tables import TableSpec
from mmran.errors import UserError
from mmran.evaluation.cases import typed_cases, write_cases
from mmran.evaluation.record import InferenceRecord, write_inference
from mmran.evaluation.summary import Summary
from mmran.files import canonical_json, sha256_file, sha256_text, write_json, write_text
from mmran.metrics.names import METRICS
from mmran.report.formats import to_csv, to_html, to_markdown, to_tex
from mmran.report.tables import metrics_table, parameters_table

SPECS = {"fixed-0.2": "5" * 64, "dynamic": "6" * 64}


def summary(experiment: str, **changes) -> Summary:
    digests = {"spec": SPECS.get(experiment, "7" * 64), "data": "d" * 64, "split": "e" * 64, "cases": "f" * 64}
    raw = dict.fromkeys(METRICS) | changes.pop("raw", {})
    pkp = raw | changes.pop("pkp", {})
    absent_classes = tuple(changes.pop("absent_classes", ()))
    variants = {"raw": raw, "pkp": pkp}
    return Summary(experiment, "paper", 306, absent_classes, digests | changes, {}, variants, (), ())


def spec(*rows: dict, metrics: tuple[str, ...] = ("dice", "acc"), **more) -> TableSpec:
    values = {"name": "table1", "title": "Training methods", "kind": "metrics", "metrics": metrics, "rows": rows}
    return TableSpec.from_values(values | more)


ROWS = (
    {"label": "Set α = 0.2", "experiment": "fixed-0.2", "paper": {"dice": 77.51, "acc": 85.29}},
    {"label": "Dynamic", "experiment": "dynamic", "variant": "raw", "paper": {"dice": 77.58, "acc": 86.93}},
)
SUMMARIES = {
    "fixed-0.2": summary("fixed-0.2", raw={"dice": 0.70005, "acc": 0.9}),
    "dynamic": summary("dynamic", raw={"dice": 0.69999, "acc": 0.9}),
}


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


def test_csv_has_row_n_metrics_then_the_papers_values_in_percent():
    rows = read(to_csv(metrics_table(spec(*ROWS), SUMMARIES, SPECS)))
    assert list(rows[0]) == ["row", "n", "dice", "acc", "paper_dice", "paper_acc"]
    assert list(rows[0].values()) == ["Set α = 0.2", "306", "70.00", "90.00", "77.51", "85.29"]
    assert list(rows[1].values()) == ["Dynamic", "306", "70.00", "90.00", "77.58", "86.93"]


def test_hd95_is_in_mm_and_the_missed_tumors_stand_beside_it():
    summaries = {"dynamic": summary("dynamic", raw={"hd95_mm": 6.6494, "n_missed": 3.0, "dice": 0.8})}
    table = metrics_table(spec(ROWS[1] | {"paper": {"hd95_mm": 6.649}}, metrics=("dice", "hd95_mm")), summaries, SPECS)
    row = read(to_csv(table))[0]
    assert list(row) == ["row", "n", "dice", "hd95_mm", "n_missed", "paper_dice", "paper_hd95_mm"]
    assert (row["hd95_mm"], row["n_missed"], row["paper_hd95_mm"]) == ("6.649", "3", "6.649")
    assert "missed" in to_markdown(table).splitlines()[2]


def test_a_task_that_a_network_lacks_is_a_dash_and_never_a_zero():
    summaries = SUMMARIES | {"dynamic": summary("dynamic", raw={"acc": 0.9})}
    table = metrics_table(spec(ROWS[0], ROWS[1] | {"paper": {"acc": 86.93}}), summaries, SPECS)
    row = read(to_csv(table))[1]
    assert (row["dice"], row["paper_dice"]) == ("-", "-")
    assert "| Dynamic | 306 | – | – | **90.00** | **86.93** |" in to_markdown(table)
    assert r"Dynamic & 306 & -- & -- & \textbf{90.00} & \textbf{86.93} \\" in to_tex(table)
    assert '<td>–</td><td class="paper">–</td>' in to_html(table)


def test_the_variant_chooses_the_filled_masks():
    summaries = {"dynamic": summary("dynamic", raw={"dice": 0.5, "acc": 0.9}, pkp={"dice": 0.6})}
    rows = read(to_csv(metrics_table(spec(ROWS[1], ROWS[1] | {"variant": "pkp"}), summaries, SPECS)))
    assert [(row["dice"], row["acc"]) for row in rows] == [("50.00", "90.00"), ("60.00", "90.00")]


def test_the_best_printed_value_of_each_column_is_bold_and_so_are_its_equals():
    summaries = {
        "fixed-0.2": summary("fixed-0.2", raw={"dice": 0.7, "hd95_mm": 9.0, "acc": 0.87004}),
        "dynamic": summary("dynamic", raw={"dice": 0.8, "hd95_mm": 12.0, "acc": 0.86996}),
    }
    table = metrics_table(spec(*ROWS, metrics=("dice", "hd95_mm", "acc")), summaries, SPECS)
    best = [[cell.text for cell in row if cell.best] for row in table.rows]
    # Lower is better in millimetres; 87.00 twice; the paper's own best stay bold.
    assert best == [["9.000", "87.00"], ["80.00", "87.00", "77.58", "86.93"]]


def test_one_row_alone_is_not_best_of_anything():
    table = metrics_table(spec(ROWS[1]), SUMMARIES, SPECS)
    assert not any(cell.best for row in table.rows for cell in row)


def test_readers_see_ours_beside_the_papers():
    lines = to_markdown(metrics_table(spec(*ROWS), SUMMARIES, SPECS)).splitlines()
    assert lines[0] == "**Training methods**"
    assert lines[2] == "|  | n | Dice (%) | paper | Acc (%) | paper |"
    assert lines[3] == "| --- | ---: | ---: | ---: | ---: | ---: |"
    assert lines[4] == "| Set α = 0.2 | 306 | **70.00** | 77.51 | **90.00** | 85.29 |"


def test_readers_are_spared_a_paper_column_without_a_value():
    table = metrics_table(spec(ROWS[0] | {"paper": {"acc": 85.29}}), SUMMARIES, SPECS)
    assert to_markdown(table).splitlines()[2] == "|  | n | Dice (%) | Acc (%) | paper |"
    assert read(to_csv(table))[0]["paper_dice"] == "-"


def test_notes_name_the_protocol_the_digests_and_an_absent_class():
    summaries = {"dynamic": summary("dynamic", absent_classes=["pituitary"], raw={"dice": 0.5})}
    text = to_markdown(metrics_table(spec(ROWS[1], note="Half size."), summaries, SPECS))
    assert "\nHalf size.\n" in text
    assert "Protocol paper; n: test slices; data dddddddddddd, split eeeeeeeeeeee." in text
    assert "No test slice of class pituitary" in text


def test_tex_is_booktabs_and_escapes_what_tex_would_read():
    row = ROWS[0] | {"label": "A & B_1 α 50% \\x {y}"}
    text = to_tex(metrics_table(spec(row), SUMMARIES, SPECS))
    assert r"A \& B\_1 $\alpha$ 50\% \textbackslash{}x \{y\} & 306 & 70.00" in text
    assert r"Dice (\%)" in text
    for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\label{tab:table1}", r"\begin{tabular}{lrrrrr}"):
        assert rule in text
    first, *rest = text.splitlines()
    assert first.startswith("% Needs \\usepackage{booktabs,graphicx}")
    assert r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%" in rest
    assert not re.search(r"(?<!\\)%.", "\n".join(rest))


def test_html_escapes_labels_and_sets_no_colour_that_a_dark_page_would_hide():
    text = to_html(metrics_table(spec(ROWS[0] | {"label": "a < b & c"}), SUMMARIES, SPECS))
    assert "a &lt; b &amp; c" in text
    style = text[: text.index("</style>")]
    assert not re.search(r"(?<!-)\bcolor:|background|#[0-9a-f]{3}", style)
    assert "color-scheme: light dark" in style


@pytest.mark.parametrize("what", ["data", "split"])
def test_summaries_of_different_data_or_splits_are_not_mixed(what):
    summaries = SUMMARIES | {"dynamic": summary("dynamic", **{what: "0" * 64})}
    with pytest.raises(UserError, match=f"fixed-0.2 and dynamic differ in the digest of their {what}"):
        metrics_table(spec(*ROWS), summaries, SPECS)


def test_a_summary_measured_under_another_specification_is_refused():
    with pytest.raises(UserError, match=r"dynamic was measured under specification 666666666666, but .* 999999999999"):
        metrics_table(spec(*ROWS), SUMMARIES, SPECS | {"dynamic": "9" * 64})


def test_an_unknown_metric_lists_the_known():
    with pytest.raises(UserError, match="unknown metric dise, expected some of dice"):
        metrics_table(spec(*ROWS, metrics=("dise",)), SUMMARIES, SPECS)


NETWORKS = [
    {"name": "mmran", "parameters": 42_770_180, "multiply_accumulates": 634_250_000_000},
    {"name": "y-net", "parameters": 9_110_307, "multiply_accumulates": 52_345_678},
]


def test_parameters_are_compared_in_millions_and_percent():
    rows = (
        {"label": "MMRAN", "experiment": "mmran", "paper": {"params_m": 42.73}},
        {"label": "Y-Net", "experiment": "y-net"},
    )
    found = read(to_csv(parameters_table(spec(*rows, kind="parameters"), NETWORKS)))
    assert list(found[0]) == ["row", "params_m", "paper_params_m", "difference_percent", "gmacs"]
    # (42.77018 - 42.73) / 42.73 = .094 %.
    assert list(found[0].values()) == ["MMRAN", "42.77", "42.73", "+0.09", "634.25"]
    assert list(found[1].values()) == ["Y-Net", "9.11", "-", "-", "0.052"]


def test_a_narrowed_network_is_compared_at_full_width_and_its_cost_says_its_size():
    networks = [
        {
            "name": "mmran",
            "parameters": 670_000,
            "parameters_full_width": 42_770_180,
            "multiply_accumulates": 2_500_000_000,
            "width": 0.125,
            "size": 128,
        }
    ]
    row = {"label": "MMRAN", "experiment": "mmran", "paper": {"params_m": 42.73}}
    table = parameters_table(spec(row, kind="parameters"), networks)
    assert read(to_csv(table))[0]["params_m"] == "42.77"
    assert table.notes == ("Parameters at full width; multiply-accumulates of width 0.125 at 128 x 128 pixels.",)


def test_a_network_that_is_not_listed_is_named():
    with pytest.raises(UserError, match="no network of chen in the list: mmran, y-net"):
        parameters_table(spec({"label": "Chen", "experiment": "chen"}, kind="parameters"), NETWORKS)


@pytest.fixture
def results(tmp_path):
    """A results folder with the experiment `dynamic`, evaluated, and a table of it."""
    folder = tmp_path / "results"
    text = canonical_json({"name": "dynamic"})
    write_text(folder / "specs/experiments/dynamic.json", text)
    evaluated = folder / "experiments/dynamic/paper"
    values = {"experiment": "dynamic", "protocol": "paper", "seed": 7, "fold": 0, "slice": 1, "variant": "raw"}
    values |= {"pid": "1", "family": "1", "label": 1, "size_tertile": 1, "dice": 0.5, "missed": 0, "overlaps": 1}
    cases = typed_cases(pd.DataFrame([values]))
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
    output = results / "tables/table1.csv"
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
    runs = [{"images_per_s": speed, "peak_memory_mb": 900.0 + speed, **machine} for speed in (10.0, 12.0, 11.0)]
    write_json(folder / "runs.json", runs)
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
