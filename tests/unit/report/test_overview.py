import re

import pytest
from docutils.core import publish_parts

from mmran.cli import main
from mmran.data.protocol import Protocol
from mmran.data.split_report import FoldReport, RoleCount, Siblings, SplitReport
from mmran.errors import UserError
from mmran.evaluation.record import InferenceRecord, write_inference
from mmran.files import write_text
from mmran.report.formats import Cell, Column, Table, write_table
from mmran.report.overview import headline, read_overview
from mmran.report.overview_text import duration, to_html, to_markdown, to_rst
from mmran.training.record import write_runs
from tests.unit.report.evaluated import run_record
from tests.unit.report.test_tables import ROWS, spec

AUDIT = """\
slices.h5: 236 slices of 45 patients

  ok  whole: every slice still has the checksum it was converted with
  !!  3 masks disagree with their border: slices 1, 2
      and 3
Images
      64x64   223 slices
"""


@pytest.fixture
def folder(tmp_path):
    """A folder of results with two experiments, one table and one figure."""
    for name, seconds in (("dynamic", 3000.0), ("<b>fixed", 600.0)):
        trained = tmp_path / "experiments" / name / "paper"
        records = [run_record(seconds=seconds, versions={"mmran": "0.2", "torch": "2.13"})]
        write_runs(trained / "runs.json", records)
        machine = {"device": "cpu", "device_name": "A processor", "precision": "float32", "threads": 2}
        write_inference(trained / "inference.json", [InferenceRecord("seed7-fold0", 24, 40.0, 500.0, **machine)])
    write_text(tmp_path / "data" / "audit.txt", AUDIT)
    count = RoleCount(24, {"glioma": 24}, 20, 20)
    fold = FoldReport(0, count, count, count, Siblings(0.5, 0.75))
    report = SplitReport(
        Protocol("slice", fractions=(0.8, 0.1, 0.1), seed=1), "d", 72, 20, 20, (), (), Siblings(0.5, 0.75), (fold,)
    )
    write_text(tmp_path / "splits" / "paper.json", report.to_json())
    write_text(tmp_path / "specs" / "tables" / "table1.json", spec(*ROWS, title="<script>x</script>").to_json())
    columns = (Column("row", ""), Column("dice", "Dice (%)"), Column("paper_dice", "paper"))
    rows = (tuple(map(Cell, ("Set", "70.00", "-"))), tuple(map(Cell, ("Dynamic", "80.00", "77.58"))))
    write_table(Table("table1", "<script>x</script>", columns, rows), tmp_path / "tables" / "paper" / "table1.csv")
    (tmp_path / "figures" / "paper").mkdir(parents=True)
    (tmp_path / "figures" / "paper" / "figure8.png").write_bytes(b"picture")
    write_text(tmp_path / "figures" / "paper" / "figure8.txt", "ROC <curves>.\n")
    return tmp_path


def test_the_start_page_says_what_was_run_on_what_how_long_and_where(folder):
    page = to_markdown(read_overview(folder))
    assert "slices.h5: 236 slices of 45 patients." in page
    assert "75.0 % of the test slices have a slice of the same patient family in training" in page
    # 3000 s and 600 s are an hour
    assert "2 trainings of 2 experiments took 1.0 h of training in all, on A processor, float32, threads: 2." in page
    assert "48 test slices were predicted" in page
    assert "Trained with mmran 0.2, torch 2.13" in page
    assert re.search(r"This page was written with mmran .*numpy \d", page)


def test_findings_of_the_audit_are_named_whole_and_only_they(folder):
    assert read_overview(folder).findings == ("3 masks disagree with their border: slices 1, 2 and 3",)
    (folder / "data" / "audit.txt").write_text("slices.h5: 1 slice of 1 patient\n")
    assert "- None." in to_markdown(read_overview(folder))


def test_each_table_is_there_by_title_with_its_last_row_and_each_figure_with_its_caption(folder):
    overview = read_overview(folder)
    assert overview.tables[0].headline == "Dynamic: Dice (%) 80.00"
    html = to_html(overview)
    assert "Dynamic: Dice (%) 80.00" in html
    assert "<td>70.00</td>" in html  # the whole table to unfold
    assert "data:image/png;base64,cGljdHVyZQ==" in html
    assert "ROC &lt;curves&gt;." in html


def test_tables_of_statistics_follow_those_of_the_paper(folder):
    tables = folder / "tables" / "paper"
    (tables / "calibration.csv").write_text((tables / "table1.csv").read_text())
    names = [table.title for table in read_overview(folder).tables]
    assert names[-1] == "Calibration of the class probabilities"


def test_a_headline_has_the_spread_of_several_seeds_and_no_dash():
    row = {"row": "MMRAN", "n": "24", "dice": "80.00", "dice_sd": "1.50", "acc": "-", "paper_dice": "80.03"}
    assert headline(row) == "MMRAN: Dice (%) 80.00 ± 1.50"


def test_a_headline_has_its_interval():
    row = {"row": "MMRAN", "dice": "80.00", "dice_low": "75.1", "dice_high": "84.0", "acc": "88.00", "acc_low": "-"}
    assert headline(row) == "MMRAN: Dice (%) 80.00 [75.1, 84.0], Acc (%) 88.00"


def test_names_and_titles_are_text_on_the_page(folder):
    html = to_html(read_overview(folder))
    assert "<script" not in html
    assert "&lt;b&gt;fixed" in html
    assert not re.search(r"<(script|b)>", to_markdown(read_overview(folder)))


def test_the_page_needs_no_other_file(folder):
    assert not re.search(r'(src|href)="(?!data:)', to_html(read_overview(folder)))


def test_the_short_form_opens_the_report_with_what_was_run_and_a_headline_of_each_table(folder):
    page = publish_parts(to_rst(read_overview(folder)), writer_name="html", settings_overrides={"report_level": 1})
    text = re.sub(r"<[^>]+>|\s+", " ", page["html_body"])
    assert "2 trainings of 2 experiments took 1.0 h of training in all" in text
    assert "Finding of the audit: 3 masks disagree with their border" in text
    assert "&lt;script&gt;x&lt;/script&gt; (protocol paper) Dynamic: Dice (%) 80.00" in re.sub(r"\s+", " ", text)
    assert "system-message" not in page["html_body"]


def test_a_time_reads_as_people_say_it():
    assert [duration(seconds) for seconds in (48, 312, 1800, 5400, 111600)] == [
        "48 s",
        "5.2 min",
        "30 min",
        "1.5 h",
        "31 h",
    ]


def test_a_folder_without_trainings_is_one_line(tmp_path):
    with pytest.raises(UserError, match="holds no trainings; run snakemake"):
        read_overview(tmp_path)


def test_the_verb_writes_both_pages_and_show_lists_them(folder, capsys):
    assert main(["overview", str(folder)]) == 0
    assert capsys.readouterr().out.split() == [str(folder / f"overview.{suffix}") for suffix in ("html", "md", "rst")]
    assert main(["show", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "| Dynamic | **80.00** | 77.58 |" in shown or "| Dynamic | 80.00 | 77.58 |" in shown
    assert "tables/paper: table1 (.md, .csv, .tex, .html)" in shown
    assert "figures/paper: figure8 (.png, .svg, .pdf, .txt)" in shown
    assert "overview.html" in shown


def test_show_lists_the_tables_of_statistics_and_prints_them_on_request(folder, capsys):
    long = folder / "tables" / "paper" / "claims.md"
    long.write_text("| a verdict |\n")
    assert main(["show", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "| a verdict |" not in shown
    assert f"{long.parent}: claims, table1 (.md, .csv, .tex, .html)" in shown
    assert main(["show", str(folder), "--all"]) == 0
    assert "| a verdict |" in capsys.readouterr().out
