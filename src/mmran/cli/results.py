"""From predictions to numbers, and from numbers to tables and their overview."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from mmran.cli.verb import Verb
from mmran.errors import UserError

if TYPE_CHECKING:
    from mmran.config.tables import TableSpec
    from mmran.evaluation.summary import Summary
    from mmran.report.uncertainty import Uncertainty


def _evaluate_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("predictions", type=Path, metavar="PREDICTIONS.h5", help="what `mmran predict` wrote")
    parser.add_argument("--store", type=Path, required=True, metavar="STORE.h5", help="the slice store")
    parser.add_argument("--split", type=Path, required=True, metavar="SPLIT.csv", help="which slices train and test")
    parser.add_argument("--cases", type=Path, required=True, metavar="CASES.csv", help="output: all measurements")
    parser.add_argument("--summary", type=Path, required=True, metavar="SUMMARY.json", help="output: the means")
    metrics_argument(parser)


def metrics_argument(parser: ArgumentParser) -> None:
    """Add the argument of every verb that evaluates."""
    parser.add_argument(
        "--metrics",
        type=Path,
        metavar="METRICS.json",
        help="your own metrics, as evaluation.metrics of a configuration (RESULTS/specs/metrics.json)",
    )


def _evaluate(arguments: Namespace) -> None:
    from mmran.evaluation.custom_metrics import read_custom_metrics
    from mmran.evaluation.evaluate import evaluate

    custom = read_custom_metrics(arguments.metrics)
    written = (arguments.cases, arguments.summary)
    print(described(evaluate(arguments.predictions, arguments.store, arguments.split, *written, custom)))


def described(summary: "Summary") -> str:
    """The main numbers of a summary as text, one line per variant."""
    from mmran.data.classes import class_title

    lines = [f"{summary.experiment}, protocol {summary.protocol}, {summary.n} test slices"]
    width = max(map(len, summary.variants))
    for variant, metrics in summary.variants.items():
        names = ("dice", "hd95_mm", "n_missed", "n_no_overlap", "acc", *summary.custom)
        shown = {name: metrics[name] for name in names}
        values = [f"{name} {value:.4g}" for name, value in shown.items() if value is not None]
        lines.append(f"  {variant:{width}}  {'  '.join(values)}")
    for name in summary.absent_classes:
        lines.append(f"  no test slice is a {class_title(name)}: recall, precision, F1 and that AUC are not defined")
    return "\n".join(lines)


def _table_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--spec", type=Path, required=True, metavar="TABLE.json", help="the table's specification")
    parser.add_argument(
        "--results", type=Path, required=True, metavar="FOLDER", help="folder of experiments/ and specs/"
    )
    parser.add_argument("--protocol", required=True, help="protocol under which the experiments were tested")
    parser.add_argument(
        "--networks",
        type=Path,
        metavar="NETWORKS.json",
        help="sizes, for a table of kind parameters (default: RESULTS/networks/TABLE.json)",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="TABLE.csv", help="written as .csv, .md, .tex and .html"
    )


def _table(arguments: Namespace) -> None:
    from mmran.config.tables import TableSpec
    from mmran.report.formats import write_table
    from mmran.report.results import read_costs, read_summary, spec_digest
    from mmran.report.sizes import parameters_table, read_sizes
    from mmran.report.tables import metrics_table

    spec = TableSpec.read(arguments.spec)
    results, protocol = arguments.results, arguments.protocol
    experiments = dict.fromkeys(row.experiment for row in spec.rows)
    if spec.kind == "parameters":
        sizes = read_sizes(arguments.networks or results / "networks" / f"{spec.name}.json")
        table = parameters_table(spec, sizes, {name: read_costs(results, name, protocol) for name in experiments})
    else:
        summaries = {name: read_summary(results, name, protocol) for name in experiments}
        expected = {name: spec_digest(results, name, protocol) for name in experiments}
        table = metrics_table(spec, summaries, expected, *_trust(spec, results, protocol))
    for path in write_table(table, arguments.output):
        print(path)


def _trust(spec: "TableSpec", results: Path, protocol: str) -> "tuple[Uncertainty | None, list[str]]":
    """Intervals and tests of a table, and its notes; None instead of intervals if the test slices allow none."""
    from mmran.report.notes import notes_of, undefined_notes
    from mmran.report.uncertainty import measure
    from mmran.statistics.rows import Row

    notes = notes_of(results, protocol, spec.rows)
    folders = [results / "experiments" / row.experiment / protocol for row in spec.rows]
    rows = [Row.read(folder, row.variant, row.label) for folder, row in zip(folders, spec.rows, strict=True)]
    notes += undefined_notes(rows, spec.metrics)
    try:
        return measure(rows, spec.metrics), notes
    except UserError as error:
        return None, [*notes, f"No intervals: {error}."]


def _show_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("results", type=Path, metavar="RESULTS", help="folder of results, such as results/demo")
    parser.add_argument(
        "--all", action="store_true", help="print the tables of claims, classes, strata, and calibration too"
    )


def _show(arguments: Namespace) -> None:
    from mmran.report.evidence import TITLES

    tables = sorted(arguments.results.glob("tables/**/*.md"))
    if not tables:
        raise UserError(f"{arguments.results}: holds no tables; run snakemake with the configuration that names it")
    printed = [path for path in tables if arguments.all or path.stem not in TITLES]
    texts = [path.read_text(encoding="utf-8").strip() for path in printed]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown
        from rich.text import Text

        console = Console()
        for path, text in zip(printed, texts, strict=True):
            console.rule(f"{path.parent.name}/{path.stem}" if path.parent.name != "tables" else path.stem)
            # A table wider than the terminal would lose digits; unformatted, its lines wrap.
            fits = all(len(line) <= console.width for line in text.splitlines() if line.startswith("|"))
            console.print(Markdown(text) if fits else Text(text))
    else:
        print("\n\n".join(texts))
    print("\nwritten:")
    for folder, paths in _by_folder(tables):
        print(f"  {folder}: {', '.join(paths)} (.md, .csv, .tex, .html)")
    for folder, paths in _by_folder(sorted(arguments.results.glob("figures/**/*.png"))):
        print(f"  {folder}: {', '.join(paths)} (.png, .svg, .pdf, .txt)")
    for path in [*sorted(arguments.results.glob("overview.html")), *sorted(arguments.results.glob("report.*"))]:
        print(f"  {path}")


def _by_folder(paths: list[Path]) -> list[tuple[Path, list[str]]]:
    """Names without suffix of the files of each folder."""
    folders = dict.fromkeys(path.parent for path in paths)
    return [(folder, [path.stem for path in paths if path.parent == folder]) for folder in folders]


def _overview_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("results", type=Path, metavar="RESULTS", help="folder of results, such as results/demo")


def _overview(arguments: Namespace) -> None:
    from mmran.report.overview import read_overview
    from mmran.report.overview_text import write_overview

    for path in write_overview(read_overview(arguments.results), arguments.results):
        print(path)


VERBS: tuple[Verb, ...] = (
    Verb(
        name="evaluate",
        help="measure predictions against the true masks and classes",
        description=(
            "Measure every predicted slice as it is (variant raw), with all holes filled (pkp), and with the holes "
            "filled that are smaller than the lesion around them (pkp-guarded). Writes one row per slice and variant "
            "to cases.csv, the source of every number, and the means to summary.json. Distances count an empty "
            "prediction as the image diagonal; n_missed counts empty predictions, n_no_overlap those that touch no "
            "tumor.\n\n"
            "  mmran evaluate predictions.h5 --store data/slices.h5 --split splits/paper.csv \\\n"
            "      --cases cases.csv --summary summary.json"
        ),
        arguments=_evaluate_arguments,
        run=_evaluate,
    ),
    Verb(
        name="table",
        help="make one of the paper's tables, its values next to ours",
        description=(
            "Write a table as csv, md, tex and html from the summaries of its experiments. Several seeds are printed "
            "as mean and standard deviation. Refuses summaries of different slices or splits, or of outdated "
            "specifications. A table of kind parameters is made from what `mmran networks --json` writes.\n\n"
            "  mmran table --spec results/demo/specs/tables/table1.json --results results/demo --protocol paper \\\n"
            "      --output results/demo/tables/paper/table1.csv"
        ),
        arguments=_table_arguments,
        run=_table,
    ),
    Verb(
        name="show",
        help="print the tables of a run and list its files",
        description=(
            "Print the tables of a run, formatted in a terminal and as Markdown when piped, and list all tables, "
            "figures and the report. The long tables of claims, classes, strata, and calibration are only listed; "
            "--all prints them too.\n\n  mmran show results/demo"
        ),
        arguments=_show_arguments,
        run=_show,
    ),
    Verb(
        name="overview",
        help="write the start page of the report",
        description=(
            "Write overview.html and overview.md: what was run on which data, how long and where, every table with "
            "its last row up front, findings of the audit, and versions. overview.rst is the short form that opens "
            "Snakemake's report.\n\n  mmran overview results/demo"
        ),
        arguments=_overview_arguments,
        run=_overview,
    ),
)
