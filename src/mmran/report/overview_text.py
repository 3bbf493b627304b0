"""The start page as HTML, complete in one file, as Markdown, and in short for the opening page of a report."""

import base64
from pathlib import Path

from mmran.files import write_text
from mmran.report import escape
from mmran.report.formats import STYLE
from mmran.report.overview import Overview, Training


def write_overview(overview: Overview, results: Path) -> list[Path]:
    """Write overview.html, overview.md, and overview.rst into the folder of results; returns their paths."""
    texts = {"html": to_html(overview), "md": to_markdown(overview), "rst": to_rst(overview)}
    for suffix, text in texts.items():
        write_text(results / f"overview.{suffix}", text)
    return [results / f"overview.{suffix}" for suffix in texts]


def spent(overview: Overview) -> str:
    """How much was trained and predicted, and on which machines."""
    trials = sum(training.trials for training in overview.trainings)
    seconds = sum(training.seconds for training in overview.trainings)
    machines = dict.fromkeys(machine for training in overview.trainings for machine in training.machines)
    return (
        f"{trials} trainings of {len({training.experiment for training in overview.trainings})} experiments took "
        f"{duration(seconds)} of training in all, on {'; '.join(machines)}. {overview.predicted} test slices were "
        "predicted, over all seeds."
    )


def duration(seconds: float) -> str:
    """A duration for readers: "48 s", "5.2 min", "31 h"."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            value = seconds / size
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{seconds:.0f} s"


_PAGE_STYLE = """\
.mmran-page { font: 15px/1.55 system-ui, sans-serif; max-width: 72em; margin: 0 auto; padding: 1em; }
.mmran-page h1 { font-size: 1.5em; } .mmran-page h2 { font-size: 1.15em; margin-top: 1.8em; }
.mmran-page summary { cursor: pointer; padding: .2em 0; }
.mmran-page img { max-width: 100%; background: white; }
.mmran-page figcaption { font-size: .85em; opacity: .8; max-width: 60em; }
.mmran-page figure { margin: 1em 0; }
.mmran-page .plain { border-collapse: collapse; font-size: .85em; }
.mmran-page .plain td, .mmran-page .plain th { padding: .1em .8em .1em 0; text-align: left; }"""


def to_html(overview: Overview) -> str:
    """One page with tables to unfold and figures inside; it needs no other file."""
    tables = [
        f"<details><summary>{escape.html(table.title)} <small>({escape.html(table.name)}, protocol "
        f"{escape.html(table.protocol)})</small><br><small>{escape.html(table.headline)}</small></summary>"
        f"{table.html}</details>"
        for table in overview.tables
    ]
    figures = [
        f'<figure><img alt="{escape.html(figure.name)}" src="data:image/png;base64,'
        f'{base64.b64encode(figure.png).decode()}"><figcaption>{escape.html(figure.caption)}</figcaption></figure>'
        for figure in overview.figures
    ]
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f"<title>{escape.html(overview.results)}: results of mmran</title>",
            f"<style>\n{STYLE}\n{_PAGE_STYLE}\n</style></head>",
            '<body class="mmran-page">',
            f"<h1>Brain tumor segmentation and classification: {escape.html(overview.results)}</h1>",
            *_section("Data", overview.data),
            *_section("Findings of the audit", overview.findings or ("None.",)),
            *_section("Splits", overview.splits),
            *_section("Trainings", (spent(overview),)),
            _trainings_html(overview),
            *_section("Accepted results of other code", overview.accepted),
            *(["<h2>Tables</h2>", *tables] if tables else []),
            *(["<h2>Figures</h2>", *figures] if figures else []),
            *_section("Versions", overview.versions),
            "</body></html>",
            "",
        ]
    )


def _section(title: str, sentences: tuple[str, ...]) -> list[str]:
    if not sentences:
        return []
    if len(sentences) == 1:
        return [f"<h2>{title}</h2>", f"<p>{escape.html(sentences[0])}</p>"]
    items = "".join(f"<li>{escape.html(sentence)}</li>" for sentence in sentences)
    return [f"<h2>{title}</h2>", f"<ul>{items}</ul>"]


_HEADS = ("experiment", "protocol", "trainings", "epochs", "time", "machine")


def _cells(training: Training) -> tuple[str, ...]:
    counts = (str(training.trials), str(training.epochs))
    return (training.experiment, training.protocol, *counts, duration(training.seconds), "; ".join(training.machines))


def _trainings_html(overview: Overview) -> str:
    heads = "".join(f"<th>{head}</th>" for head in _HEADS)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape.html(cell)}</td>' for cell in _cells(training))}</tr>"
        for training in overview.trainings
    )
    return f'<details><summary>Every experiment</summary><table class="plain"><tr>{heads}</tr>{rows}</table></details>'


def to_markdown(overview: Overview) -> str:
    """The same page for a terminal or a repository, with links to the files next to it."""

    def section(title: str, sentences: tuple[str, ...]) -> list[str]:
        items = [f"- {escape.markdown(sentence)}" for sentence in sentences]
        return [f"\n## {title}\n", *items] if items else []

    rows = [" | ".join(map(escape.markdown, _cells(training))) for training in overview.trainings]
    parts = [
        f"# Brain tumor segmentation and classification: {escape.markdown(overview.results)}",
        *section("Data", overview.data),
        *section("Findings of the audit", overview.findings or ("None.",)),
        *section("Splits", overview.splits),
        *("\n## Trainings\n", escape.markdown(spent(overview)), ""),
        *(f"| {' | '.join(_HEADS)} |", f"|{'---|' * len(_HEADS)}", *(f"| {row} |" for row in rows)),
    ]
    parts += section("Accepted results of other code", overview.accepted)
    if overview.tables:
        parts.append("\n## Tables\n")
        for table in overview.tables:
            link = f"[{escape.markdown(table.title)}](tables/{table.protocol}/{table.name}.md)"
            said = f": {escape.markdown(table.headline)}" if table.headline else ""
            parts.append(f"- {link}, protocol {escape.markdown(table.protocol)}{said}")
    if overview.figures:
        parts.append("\n## Figures\n")
        for figure in overview.figures:
            link = f"[{figure.name}](figures/{figure.protocol}/{figure.name}.pdf)"
            parts.append(f"- {link}, protocol {escape.markdown(figure.protocol)}: {escape.markdown(figure.caption)}")
    return "\n".join([*parts, *section("Versions", overview.versions)]) + "\n"


def to_rst(overview: Overview) -> str:
    """What was run, and the headline of each table, as a fragment that the description of the workflow includes."""
    findings = [f"Finding of the audit: {finding}" for finding in overview.findings]
    sentences = [spent(overview), *overview.data, *findings]
    headlines = [
        f"**{escape.rst(table.title)}** (protocol {escape.rst(table.protocol)})\n\n  {escape.rst(table.headline)}"
        for table in overview.tables
        if table.headline
    ]
    return "\n\n".join([*(f"- {escape.rst(sentence)}" for sentence in sentences), *headlines]) + "\n"
