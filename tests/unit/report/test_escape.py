"""Hostile labels, each in each format: what executes elsewhere is printed here."""

import csv
import io
import re

import pytest

from mmran.report import escape
from mmran.report.formats import Cell, Column, Table, to_csv, to_html, to_markdown

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '=HYPERLINK("http://evil","x")',
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "$\\notacommand{$",
    "\\input{/etc/passwd}",
    "[click](javascript:alert(1))",
    "![x](http://evil/x.png)",
    "a | b\n| c |",
    ".. raw:: html\n\n   <script>alert(1)</script>",
    ".. include:: /etc/passwd",
    "`x <javascript:alert(1)>`_",
    ":raw-html:`<b>`",
    "|replace| **bold** __x__ ~~y~~",
    "# heading",
    "1. list",
    "{{ snakemake }} {% raw %}",
    "\u202etxt.exe\x00\x1b[31m",
)


def table(text: str) -> Table:
    columns = (Column("row", text), Column("dice", "Dice (%)"))
    return Table("hostile", text, columns, ((Cell(text), Cell("50.00")),), (text,))


@pytest.mark.parametrize("text", HOSTILE)
def test_no_spreadsheet_evaluates_a_label(text):
    rows = list(csv.reader(io.StringIO(to_csv(table(text)))))
    assert len(rows) == 2
    assert rows[1][0][0] not in "=+-@\t\r"
    assert rows[1][1] == "50.00"


@pytest.mark.parametrize("value", ["-", "-0.5", "+0.09", "1e-3", "3", "1.0 min"])
def test_numbers_stay_numbers_in_csv_and_markdown(value):
    assert escape.csv_cell(value) == value
    assert escape.markdown(value) == value or value == "-"


@pytest.mark.parametrize("text", HOSTILE)
def test_no_label_becomes_html(text):
    html = to_html(table(text))
    body = html[html.index("</style>") :]
    tags = set(re.findall(r"<(\w+)", body))
    assert tags <= {"div", "table", "caption", "thead", "tr", "th", "tbody", "td", "strong", "small", "p"}
    assert not re.search(r"<[^>]*\bon\w+=", body)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_label_becomes_markup_in_markdown(text):
    lines = to_markdown(table(text)).splitlines()
    row = next(line for line in lines if line.endswith("| 50.00 |"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 3  # two cells, however many bars the label has
    assert not re.search(r"[<>]", "\n".join(lines))
    assert not re.search(r"(?<!\\)\]\(", "\n".join(lines))
    assert not re.search(r"(?i)https?://|javascript:.*\)(?<!\\\))$", row)
    assert not re.match(r"(#|1\.|[-+=]\s)", lines[-1])


@pytest.mark.parametrize("text", HOSTILE)
def test_no_label_becomes_a_command_in_latex(text):
    tex = escape.tex(text)
    commands = set(re.findall(r"\\([A-Za-z]+)", tex))
    assert commands <= {
        "textbackslash",
        "textasciitilde",
        "textasciicircum",
        "textless",
        "textgreater",
        "textbar",
        "textquotedbl",
    }
    assert not re.search(r"(?<!\\)[$%#&_]", re.sub(r"\$\\\w+\$", "", tex))
    plain = re.sub(r"\\[{}]", "", tex)
    assert plain.count("{") == plain.count("}")


def test_tex_sets_greek_letters_and_signs_as_math():
    assert escape.tex("α = 0.2 ± 1, Σ") == r"$\alpha$ = 0.2 $\pm$ 1, $\Sigma$"


@pytest.mark.parametrize("text", HOSTILE)
def test_no_label_becomes_a_directive_or_a_role_in_restructured_text(text):
    core = pytest.importorskip("docutils.core")
    settings = {"report_level": 1, "halt_level": 1, "raw_enabled": True, "file_insertion_enabled": True}
    document = core.publish_doctree(escape.rst(text), settings_overrides=settings)
    assert [node.tagname for node in document.children] == ["paragraph"]
    assert document.astext() == escape.line(text)


def test_a_line_has_no_breaks_and_nothing_unprintable():
    assert escape.line(" a\n\tb\u202e\x00\ud800c ") == "a bc"
