"""One table as text: csv for programs, Markdown, LaTeX and HTML for readers."""

import csv
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mmran.files import write_text
from mmran.report import escape

MISSING = "-"
"""Printed where there is no number: a task that a network lacks, a value that the paper does not print."""


@dataclass(frozen=True)
class Cell:
    """A printed value.

    Attributes:
        text: what every format prints.
        best: whether it is bold: no row of its column is better.
        spread: interval or deviation that readers see after the value, such as "± 1.20"; csv has columns for it.
    """

    text: str
    best: bool = False
    spread: str = ""


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: its name in the csv.
        title: its heading for readers.
        shown: whether readers see it; the csv has every column.
    """

    key: str
    title: str
    shown: bool = True


@dataclass(frozen=True)
class Table:
    """A table of printed values.

    Attributes:
        name: file name, and label in LaTeX.
        title: caption.
        columns: in the order of the csv; the first holds the rows' names.
        rows: one cell per column.
        notes: sentences below the table.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def for_readers(self) -> "Table":
        """The columns that readers see: each of the paper's values next to ours, unless the paper prints none."""
        keys = [column.key for column in self.columns]
        order = []
        for i, column in enumerate(self.columns):
            if column.key.startswith("paper_") or not column.shown:
                continue
            order.append(i)
            if (paper := f"paper_{column.key}") in keys:
                j = keys.index(paper)
                if any(row[j].text != MISSING for row in self.rows):
                    order.append(j)
        return Table(
            self.name,
            self.title,
            tuple(self.columns[i] for i in order),
            tuple(tuple(row[i] for i in order) for row in self.rows),
            self.notes,
        )


def to_csv(table: Table) -> str:
    """The keys of the columns, then the rows; numbers as printed, `-` where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.key for column in table.columns])
    writer.writerows([escape.csv_cell(cell.text) for cell in row] for row in table.rows)
    return text.getvalue()


def to_markdown(table: Table) -> str:
    """A GitHub table with caption and notes."""
    table = table.for_readers()

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    def cell(value: Cell) -> str:
        text = "–" if value.text == MISSING else escape.markdown(value.text)
        text = f"**{text}**" if value.best else text
        return f"{text} {escape.markdown(value.spread)}" if value.spread else text

    lines = [line([escape.markdown(column.title) for column in table.columns])]
    lines.append(line(["---", *["---:"] * (len(table.columns) - 1)]))
    lines += [line([cell(value) for value in row]) for row in table.rows]
    notes = [f"\n{escape.markdown(note)}" for note in table.notes]
    return "\n".join([f"**{escape.markdown(table.title)}**\n", *lines, *notes]) + "\n"


_TEX_PACKAGES = r"% Needs \usepackage{booktabs,graphicx}, and \usepackage[T1]{fontenc} unless XeLaTeX or LuaLaTeX runs."
# Shrinks a table that is wider than the text, and leaves others as they are.
_TEX_FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"


def to_tex(table: Table) -> str:
    """A LaTeX table, at most as wide as the text; its first line names the packages that it needs."""
    table = table.for_readers()

    def cell(value: Cell) -> str:
        text = "--" if value.text == MISSING else escape.tex(value.text)
        text = f"\\textbf{{{text}}}" if value.best else text
        return f"{text} {{\\scriptsize {escape.tex(value.spread)}}}" if value.spread else text

    def line(cells: list[str]) -> str:
        return " & ".join(cells) + r" \\"

    return "\n".join(
        [
            _TEX_PACKAGES,
            r"\begin{table}",
            r"\centering",
            f"\\caption{{{escape.tex(table.title)}}}",
            f"\\label{{tab:{re.sub('[^A-Za-z0-9-]', '-', table.name)}}}",
            _TEX_FITTED,
            f"\\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}",
            r"\toprule",
            line([escape.tex(column.title) for column in table.columns]),
            r"\midrule",
            *[line([cell(value) for value in row]) for row in table.rows],
            r"\bottomrule",
            r"\end{tabular}}",
            *[f"\\par\\smallskip{{\\footnotesize\\raggedright {escape.tex(note)}\\par}}" for note in table.notes],
            r"\end{table}",
            "",
        ]
    )


# No color but grays by opacity: legible on the white, gray or dark page that shows it.
STYLE = """\
:root { color-scheme: light dark; }
.mmran-scroll { overflow-x: auto; }
.mmran-table { border-collapse: collapse; font: 14px/1.5 system-ui, sans-serif; margin: 1em 0; }
.mmran-table caption { text-align: left; font-weight: 600; padding: .3em .8em; }
.mmran-table th, .mmran-table td { text-align: right; padding: .25em .8em; }
.mmran-table td { font-variant-numeric: tabular-nums; white-space: nowrap; }
.mmran-table th:first-child { text-align: left; font-weight: 400; }
.mmran-table thead th { border-top: 2px solid; border-bottom: 1px solid; font-weight: 600; }
.mmran-table tbody tr:last-child > * { border-bottom: 2px solid; }
.mmran-table .paper { opacity: .65; }
.mmran-table small { opacity: .8; }
.mmran-notes { font: 12px/1.5 system-ui, sans-serif; opacity: .8; margin: 0 .8em; max-width: 60em; }"""


def to_html(table: Table) -> str:
    """A fragment with its style, for a report or a browser."""
    return f'<meta charset="utf-8">\n<style>\n{STYLE}\n</style>\n{html_body(table)}'


def html_body(table: Table) -> str:
    """The table and its notes, without their style."""
    table = table.for_readers()
    shades = [' class="paper"' if column.key.startswith("paper_") else "" for column in table.columns]

    def cell(value: Cell, shade: str) -> str:
        text = "–" if value.text == MISSING else escape.html(value.text)
        text = f"<strong>{text}</strong>" if value.best else text
        return f"<td{shade}>{text}{f' <small>{escape.html(value.spread)}</small>' if value.spread else ''}</td>"

    heads = [
        f'<th scope="col"{shade}>{escape.html(column.title)}</th>'
        for column, shade in zip(table.columns, shades, strict=True)
    ]
    rows = [
        f'<tr><th scope="row">{escape.html(row[0].text)}</th>'
        + "".join(cell(value, shade) for value, shade in zip(row[1:], shades[1:], strict=True))
        + "</tr>"
        for row in table.rows
    ]
    return "\n".join(
        [
            '<div class="mmran-scroll"><table class="mmran-table">',
            f"<caption>{escape.html(table.title)}</caption>",
            f"<thead><tr>{''.join(heads)}</tr></thead>",
            "<tbody>",
            *rows,
            "</tbody>",
            "</table></div>",
            *[f'<p class="mmran-notes">{escape.html(note)}</p>' for note in table.notes],
            "",
        ]
    )


FORMATS: Mapping[str, Callable[[Table], str]] = {
    "csv": to_csv,
    "md": to_markdown,
    "tex": to_tex,
    "html": to_html,
}
"""Ending of the file -> writer."""


def write_table(table: Table, output: Path) -> list[Path]:
    """Write csv, md, tex and html next to each other, with the stem of `output`; returns the four paths."""
    paths = []
    for suffix, text in FORMATS.items():
        paths.append(output.with_suffix(f".{suffix}"))
        write_text(paths[-1], text(table))
    return paths
