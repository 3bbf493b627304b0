"""`mmran evaluate` and `mmran table`: from predictions to numbers, and from numbers to the paper's tables."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from mmran.cli.verb import Verb
from mmran.errors import UserError

if TYPE_CHECKING:
    from mmran.evaluation.summary import Summary


def _evaluate_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("predictions", type=Path, metavar="PREDICTIONS.h5", help="what `mmran predict` wrote")
    parser.add_argument("--store", type=Path, required=True, metavar="STORE.h5", help="the slice store")
    parser.add_argument("--split", type=Path, required=True, metavar="SPLIT.csv", help="who trained and tested")
    parser.add_argument("--cases", type=Path, required=True, metavar="CASES.csv", help="output: all measurements")
    parser.add_argument("--summary", type=Path, required=True, metavar="SUMMARY.json", help="output: the means")


def _evaluate(arguments: Namespace) -> None:
    from mmran.evaluation.evaluate import evaluate

    summary = evaluate(arguments.predictions, arguments.store, arguments.split, arguments.cases, arguments.summary)
    print(described(summary))


def described(summary: "Summary") -> str:
    """Say the main numbers of a summary, one line per variant."""
    lines = [f"{summary.experiment}, protocol {summary.protocol}, {summary.n} test slices"]
    width = max(map(len, summary.variants))
    for variant, metrics in summary.variants.items():
        shown = {name: metrics[name] for name in ("dice", "hd95_mm", "n_missed", "n_no_overlap", "acc")}
        values = [f"{name} {value:.4g}" for name, value in shown.items() if value is not None]
        lines.append(f"  {variant:{width}}  {'  '.join(values)}")
    for name in summary.absent_classes:
        kind = "pituitary tumor" if name == "pituitary" else name
        lines.append(f"  no test slice is a {kind}: recall, precision, F1 and that AUC are not defined")
    return "\n".join(lines)


def _table_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--spec", type=Path, required=True, metavar="TABLE.json", help="the table's specification")
    parser.add_argument(
        "--results", type=Path, required=True, metavar="FOLDER", help="folder of experiments/ and specs/"
    )
    parser.add_argument("--protocol", required=True, help="the split protocol that the experiments were tested under")
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
    from mmran.files import read_json
    from mmran.report.formats import write_table
    from mmran.report.results import read_costs, read_summary, spec_digest
    from mmran.report.tables import metrics_table, parameters_table

    spec = TableSpec.read(arguments.spec)
    experiments = dict.fromkeys(row.experiment for row in spec.rows)
    if spec.kind == "parameters":
        networks = arguments.networks or arguments.results / "networks" / f"{spec.name}.json"
        costs = {name: read_costs(arguments.results, name, arguments.protocol) for name in experiments}
        table = parameters_table(spec, read_json(networks), costs)
    else:
        summaries = {name: read_summary(arguments.results, name, arguments.protocol) for name in experiments}
        expected = {name: spec_digest(arguments.results, name, arguments.protocol) for name in experiments}
        table = metrics_table(spec, summaries, expected)
    for path in write_table(table, arguments.output):
        print(path)


def _show_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("results", type=Path, metavar="RESULTS", help="folder of results, such as results/demo")


def _show(arguments: Namespace) -> None:
    tables = sorted(arguments.results.glob("tables/**/*.md"))
    if not tables:
        raise UserError(f"{arguments.results}: holds no tables; run snakemake with the configuration that names it")
    for path in tables:
        print(f"{path.read_text(encoding='utf-8').strip()}\n")
    print("written:")
    for path in [
        *tables,
        *sorted(arguments.results.glob("figures/**/*.png")),
        *sorted(arguments.results.glob("report.*")),
    ]:
        others = "" if path.suffix != ".md" else "  (and .csv, .tex, .html)"
        print(f"  {path}{others}")


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
        help="put one of the paper's tables together, its values beside ours",
        description=(
            "Write a table as csv, md, tex and html beside each other from the summaries of its experiments. "
            "Refuses summaries of different slices, splits or outdated specifications. A table of kind "
            "parameters is made from what `mmran networks --json` writes.\n\n"
            "  mmran table --spec results/demo/specs/tables/table1.json --results results/demo --protocol paper \\\n"
            "      --output results/demo/tables/table1.csv"
        ),
        arguments=_table_arguments,
        run=_table,
    ),
    Verb(
        name="show",
        help="print the tables of a run and name the files",
        description="Print every table that a run has made, and say where tables, figures and report lie.\n\n"
        "  mmran show results/demo",
        arguments=_show_arguments,
        run=_show,
    ),
)
