import csv
import re

import pytest

from mmran.config.schema import choices, schema
from mmran.config.tables import TableSpec
from mmran.data.published import CLASSES
from mmran.errors import UserError
from mmran.evaluation.summary import Part, Summary
from mmran.metrics.names import METRICS, find_metric, metric_names
from mmran.report.formats import to_csv, to_html, to_markdown, to_tex
from mmran.report.tables import metrics_table

ALL_METRICS = metric_names(CLASSES)

SPECS = {"fixed-0.2": "5" * 64, "dynamic": "6" * 64}


def summary(experiment: str, *, seeds=(), **changes) -> Summary:
    """A summary of one seed with `raw` metrics, or of one seed for each mapping of raw metrics in `seeds`."""
    digests = {"spec": SPECS.get(experiment, "7" * 64), "data": "d" * 64, "split": "e" * 64, "cases": "f" * 64}
    absent = tuple(changes.pop("absent_classes", ()))
    pkp, by_seed = changes.pop("pkp", {}), seeds or (changes.pop("raw", {}),)
    parts = []
    for number, values in enumerate(by_seed):
        raw = dict.fromkeys(ALL_METRICS) | values
        parts.append(Part(number, None, 306, absent, {"raw": raw, "pkp": raw | pkp}))
    return Summary(experiment, "paper", 306, absent, digests | changes, {}, parts[0].variants, tuple(parts), ())


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
    assert list(rows[0])[:6] == ["row", "n", "dice", "acc", "paper_dice", "paper_acc"]
    assert list(rows[0].values())[:6] == ["Set α = 0.2", "306", "70.00", "90.00", "77.51", "85.29"]
    assert list(rows[1].values())[:6] == ["Dynamic", "306", "70.00", "90.00", "77.58", "86.93"]


def test_csv_names_where_each_row_comes_from_and_readers_are_spared_it():
    table = metrics_table(spec(*ROWS), SUMMARIES, SPECS)
    row = read(to_csv(table))[1]
    assert list(row.items())[6:] == [
        ("seeds", "0"),
        ("experiment", "dynamic"),
        ("variant", "raw"),
        ("spec", "666666666666"),
    ]
    assert "experiment" not in to_markdown(table)


def test_several_seeds_are_a_mean_with_its_standard_deviation_and_never_bare():
    # 3, 4 and 6 misses: mean 4.33, deviation sqrt((1.78 + .11 + 2.78) / 2) = 1.53; .7, .8, .9: .8 and .1
    of_seeds = [{"dice": dice, "hd95_mm": 9.0, "n_missed": n} for dice, n in ((0.7, 3.0), (0.8, 4.0), (0.9, 6.0))]
    summaries = {"fixed-0.2": summary("fixed-0.2", raw={"dice": 0.75}), "dynamic": summary("dynamic", seeds=of_seeds)}
    table = metrics_table(spec(*ROWS, metrics=("dice", "n_missed")), summaries, SPECS)
    one, three = read(to_csv(table))
    assert (three["dice"], three["dice_sd"], three["seeds"]) == ("80.00", "10.00", "0 1 2")
    assert (three["n_missed"], three["n_missed_sd"]) == ("4.3", "1.5")
    assert (one["dice"], one["dice_sd"]) == ("75.00", "-")
    assert "| Dynamic | 306 | **80.00** ± 10.00 | **77.58** | 4.3 ± 1.5 |" in to_markdown(table)
    assert "<strong>80.00</strong> <small>± 10.00</small>" in to_html(table)
    assert r"\textbf{80.00} {\scriptsize $\pm$ 10.00}" in to_tex(table)
    assert "Mean ± standard deviation over the seeds; a row has 1 or 3." in table.notes


def test_one_seed_alone_is_said_to_rank_no_networks():
    assert any("a difference between seeds" in note for note in metrics_table(spec(*ROWS), SUMMARIES, SPECS).notes)
    summaries = {"dynamic": summary("dynamic", seeds=[{"dice": 0.7}, {"dice": 0.8}])}
    notes = metrics_table(spec(ROWS[1], metrics=("dice",)), summaries, SPECS).notes
    assert not any("a difference between seeds" in note for note in notes)


@pytest.mark.parametrize("name", ALL_METRICS)
def test_every_metric_can_be_printed(name):
    summaries = {"dynamic": summary("dynamic", raw={name: 0.5})}
    table = metrics_table(spec(ROWS[1], metrics=(name,)), summaries, SPECS)
    expected = f"{0.5 * find_metric(name).scale:.{find_metric(name).decimals}f}"
    assert read(to_csv(table))[0][name] == expected
    assert find_metric(name).title in [column.title for column in table.columns]


def test_the_schema_allows_exactly_the_metrics_that_tables_print():
    allowed = schema()["$defs"]["table"]["properties"]["metrics"]["items"]
    names = allowed.get("enum") or choices(allowed["$ref"].rpartition("/")[2])
    assert set(names) == {*ALL_METRICS, *METRICS}


def test_the_mean_hd95_is_never_alone():
    values = {"hd95_mm": 6.6494, "hd95_median_mm": 4, "hd95_overlapping_mm": 5, "n_missed": 3.0, "n_no_overlap": 2.0}
    summaries = {"dynamic": summary("dynamic", raw=values)}
    table = metrics_table(spec(ROWS[1] | {"paper": {"hd95_mm": 6.649}}, metrics=("hd95_mm",)), summaries, SPECS)
    row = read(to_csv(table))[0]
    assert list(row)[2:8] == [*values, "paper_hd95_mm"]
    assert list(row.values())[2:8] == ["6.649", "4.000", "5.000", "3", "2", "6.649"]
    assert any("counts an empty mask as the diagonal" in note for note in table.notes)
    # what is asked for by name stays in its place and comes once
    asked = metrics_table(spec(ROWS[1], metrics=("n_missed", "hd95_mm")), summaries, SPECS)
    assert [column.key for column in asked.columns].count("n_missed") == 1


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
    # Lower is better in millimeters; 87.00 twice; the paper's own best stay bold.
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


def test_html_escapes_labels_and_sets_no_color_that_a_dark_page_would_hide():
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
    with pytest.raises(UserError, match="not measured by metric 'dise'; did you mean 'dice'\\? known: acc"):
        metrics_table(spec(*ROWS, metrics=("dise",)), SUMMARIES, SPECS)
