"""One table as text: csv for programs, Markdown, LaTeX (booktabs) and HTML for readers."""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape

MISSING = "-"
"""Stands where there is no number: a task that a network lacks, a value that the paper does not print."""


@dataclass(frozen=True)
class Cell:
    """A printed value, and whether it is the best of its column."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Column:
    """A column: its name in the csv and its heading for readers."""

    key: str
    title: str


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
        """The same with every column of the paper's values beside ours, less those that are all missing."""
        keys = [column.key for column in self.columns]
        order = []
        for i, key in enumerate(keys):
            if key.startswith("paper_"):
                continue
            order.append(i)
            if (paper := f"paper_{key}") in keys:
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
    """Column names of the contract, then the rows; numbers as printed, `-` where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.key for column in table.columns])
    writer.writerows([cell.text for cell in row] for row in table.rows)
    return text.getvalue()


def to_markdown(table: Table) -> str:
    """A GitHub table with caption and notes."""
    table = table.for_readers()

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    def cell(value: Cell) -> str:
        text = "–" if value.text == MISSING else value.text.replace("|", "\\|")
        return f"**{text}**" if value.best else text

    lines = [line([column.title for column in table.columns])]
    lines.append(line(["---", *["---:"] * (len(table.columns) - 1)]))
    lines += [line([cell(value) for value in row]) for row in table.rows]
    notes = [f"\n{note}" for note in table.notes]
    return "\n".join([f"**{table.title}**\n", *lines, *notes]) + "\n"


_TEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "×": r"$\times$", "±": r"$\pm$"},
}


def to_tex(table: Table) -> str:
    """A LaTeX table that needs the package booktabs."""
    table = table.for_readers()

    def plain(text: str) -> str:
        return "".join(_TEX.get(character, character) for character in text)

    def cell(value: Cell) -> str:
        text = "--" if value.text == MISSING else plain(value.text)
        return f"\\textbf{{{text}}}" if value.best else text

    def line(cells: list[str]) -> str:
        return " & ".join(cells) + r" \\"

    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            f"\\caption{{{plain(table.title)}}}",
            f"\\label{{tab:{table.name}}}",
            f"\\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}",
            r"\toprule",
            line([plain(column.title) for column in table.columns]),
            r"\midrule",
            *[line([cell(value) for value in row]) for row in table.rows],
            r"\bottomrule",
            r"\end{tabular}",
            *[f"\\par\\footnotesize {plain(note)}" for note in table.notes],
            r"\end{table}",
            "",
        ]
    )


# No colour of its own but greys by opacity: legible on the white, grey or dark page that shows it.
_STYLE = """\
:root { color-scheme: light dark; }
.mmran-table { border-collapse: collapse; font: 14px/1.5 system-ui, sans-serif; margin: 1em 0; }
.mmran-table caption { text-align: left; font-weight: 600; padding: .3em .8em; }
.mmran-table th, .mmran-table td { text-align: right; padding: .25em .8em; }
.mmran-table td { font-variant-numeric: tabular-nums; }
.mmran-table th:first-child { text-align: left; font-weight: 400; }
.mmran-table thead th { border-top: 2px solid; border-bottom: 1px solid; font-weight: 600; }
.mmran-table tbody tr:last-child > * { border-bottom: 2px solid; }
.mmran-table .paper { opacity: .65; }
.mmran-notes { font: 12px/1.5 system-ui, sans-serif; opacity: .8; margin: 0 .8em; }"""


def to_html(table: Table) -> str:
    """A fragment with its own style, for a report or a browser."""
    table = table.for_readers()
    shades = [' class="paper"' if column.key.startswith("paper_") else "" for column in table.columns]

    def cell(value: Cell, shade: str) -> str:
        text = "–" if value.text == MISSING else escape(value.text)
        return f"<td{shade}>{f'<strong>{text}</strong>' if value.best else text}</td>"

    heads = [
        f'<th scope="col"{shade}>{escape(column.title)}</th>'
        for column, shade in zip(table.columns, shades, strict=True)
    ]
    rows = [
        f'<tr><th scope="row">{escape(row[0].text)}</th>'
        + "".join(cell(value, shade) for value, shade in zip(row[1:], shades[1:], strict=True))
        + "</tr>"
        for row in table.rows
    ]
    return "\n".join(
        [
            '<meta charset="utf-8">',
            f"<style>\n{_STYLE}\n</style>",
            '<table class="mmran-table">',
            f"<caption>{escape(table.title)}</caption>",
            f"<thead><tr>{''.join(heads)}</tr></thead>",
            "<tbody>",
            *rows,
            "</tbody>",
            "</table>",
            *[f'<p class="mmran-notes">{escape(note)}</p>' for note in table.notes],
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
