"""`mmran compare`, `mmran trace` and `mmran nearest-slice`: which numbers and differences can be trusted."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmran.cli.results import metrics_argument
from mmran.cli.verb import Verb
from mmran.errors import UserError, known_names

if TYPE_CHECKING:
    from mmran.data.subgroups import Subgroups
    from mmran.metrics.custom import CustomMetrics
    from mmran.metrics.names import Metric
    from mmran.statistics.claims import Verdict
    from mmran.statistics.collection import Statistics
    from mmran.statistics.comparisons import Comparison
    from mmran.statistics.intervals import Interval
    from mmran.statistics.rows import Row

DEFAULT_REFERENCE = "mmran"


def _compare_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("results", type=Path, metavar="RESULTS", help="folder of experiments/, such as results/demo")
    parser.add_argument("other", type=Path, metavar="OTHER", nargs="?", help="compare with this folder's experiments")
    parser.add_argument("--protocol", help="split protocol (default: the only one that was evaluated)")
    parser.add_argument(
        "--rows",
        nargs="+",
        metavar="ROW",
        help="EXPERIMENT or EXPERIMENT/VARIANT, besides those of --spec (default: all)",
    )
    parser.add_argument(
        "--against", metavar="ROW", help=f"the row that the others are compared with (default: {DEFAULT_REFERENCE})"
    )
    parser.add_argument("--metrics", nargs="+", metavar="METRIC", help="default: dice acc")
    parser.add_argument(
        "--spec", type=Path, metavar="COMPARISON.json", help="rows, metrics and claims of a configuration"
    )
    parser.add_argument(
        "--subgroups",
        type=Path,
        metavar="FILE.csv",
        help="a column slice or pid and one per property, such as scanner: strata.csv has a line for each value",
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write every statistic here as csv")
    parser.add_argument(
        "--tables", type=Path, metavar="FOLDER", help="write claims, classes, strata, and calibration here for readers"
    )


def _compare(arguments: Namespace) -> None:
    from mmran.config.claims import ComparisonSpec
    from mmran.data.subgroups import Subgroups
    from mmran.report.evidence import write_evidence
    from mmran.statistics.collection import Statistics
    from mmran.statistics.comparisons import Comparison, compare_folders
    from mmran.statistics.files import write_csv

    spec = ComparisonSpec.read(arguments.spec) if arguments.spec else ComparisonSpec((), None, ("dice", "acc"), ())
    metrics = arguments.metrics or spec.metrics
    names = (*spec.rows, *(arguments.rows or ()))
    protocol = arguments.protocol or _only_protocol(arguments.results)
    subgroups = Subgroups.read(arguments.subgroups) if arguments.subgroups else None
    if arguments.other is not None:
        if subgroups:
            raise UserError("--subgroups: shows parts of one folder's results; remove it or OTHER")
        both = names or _evaluated(arguments.results, protocol) & _evaluated(arguments.other, protocol)
        if not both:
            raise UserError(f"{arguments.results} and {arguments.other} share no experiment under {protocol}")
        rows, others = (_read_rows(folder, protocol, sorted(both)) for folder in (arguments.results, arguments.other))
        custom = _check_metrics(metrics, [*rows, *others])
        found = compare_folders(rows, others, metrics)
        _print_comparisons(found, f"{arguments.results} minus {arguments.other}", custom)
        if arguments.output:
            write_csv(arguments.output / "comparisons.csv", Comparison, found)
        return
    rows = _read_rows(arguments.results, protocol, names)
    custom = _check_metrics((*metrics, *(claim.metric for claim in spec.claims)), rows)
    against = _reference(rows, arguments.against or spec.against) if len(rows) > 1 else rows[0]
    statistics = Statistics.of(rows, against, metrics, spec.claims, subgroups)
    _print_intervals(statistics.intervals, custom)
    if subgroups:
        _print_subgroups(statistics, subgroups)
    if statistics.comparisons:
        _print_comparisons(statistics.comparisons, f"each row minus {against.label}", custom)
    if arguments.spec:
        _print_verdicts(statistics.verdicts)
    if arguments.output:
        statistics.write(arguments.output, claims=arguments.spec is not None)
    if arguments.tables:
        write_evidence(statistics, arguments.tables)


def _check_metrics(metrics: "Sequence[str]", rows: "Sequence[Row]") -> "CustomMetrics":
    """The custom metrics that all rows have, if each metric is known."""
    from mmran.metrics.names import metric_names
    from mmran.statistics.rows import shared_custom

    custom = shared_custom(rows)
    known = (*metric_names(rows[0].classes), *custom)
    if unknown := [name for name in metrics if name not in known]:
        raise UserError(f"--metrics: {unknown[0]!r} is unknown; {known_names(unknown[0], known)}")
    return custom


def _only_protocol(results: Path) -> str:
    found = sorted({path.parent.name for path in results.glob("experiments/*/*/summary.json")})
    if not found:
        raise UserError(f"{results}: holds no evaluated experiment; run snakemake with the configuration that names it")
    if len(found) > 1:
        raise UserError(f"{results}: has results under {', '.join(found)}; choose one with --protocol")
    return found[0]


def _evaluated(results: Path, protocol: str) -> set[str]:
    """Experiments with results under a protocol."""
    found = {path.parents[1].name for path in results.glob(f"experiments/*/{protocol}/summary.json")}
    if not found:
        raise UserError(f"{results}: holds no experiment evaluated under protocol {protocol}")
    return found


def _read_rows(results: Path, protocol: str, names: Sequence[str] | None) -> "list[Row]":
    from mmran.statistics.rows import Row

    known = _evaluated(results, protocol)
    rows = []
    for name in names or sorted(known):
        experiment, _, variant = name.partition("/")
        if experiment not in known:
            raise UserError(f"{results}: has no {experiment} under {protocol}, only {', '.join(sorted(known))}")
        rows.append(Row.read(results / "experiments" / experiment / protocol, variant or "raw", label=name))
    return rows


def _reference(rows: "Sequence[Row]", name: str | None) -> "Row":
    by_name = {row.label: row for row in rows}
    wanted = name or DEFAULT_REFERENCE
    if wanted not in by_name:
        raise UserError(f"--against {wanted}: is not among the rows {', '.join(by_name)}; name one of them")
    return by_name[wanted]


def _printed(metric: "Metric", value: float | None) -> str:
    return "-" if value is None else metric.text(value)


def _printed_range(metric: "Metric", low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{_printed(metric, low)}, {_printed(metric, high)}]"


def _print_intervals(found: "Sequence[Interval]", custom: "CustomMetrics") -> None:
    from mmran.metrics.custom import describe

    first = found[0]
    few = " (few families)" if first.few_families else ""
    print(f"protocol {first.protocol}: {first.n_slices} test slices of {first.n_families} patient families{few}")
    width = max(len(one.row) for one in found)
    for name in dict.fromkeys(one.metric for one in found):
        metric = describe(name, custom)
        print(f"\n{metric.title}, 95 % interval over families")
        for one in (one for one in found if one.metric == name):
            spread = f"  SD {_printed(metric, one.seed_sd)} of {one.n_seeds} seeds" if one.seed_sd is not None else ""
            bounds = _printed_range(metric, one.low, one.high)
            print(f"  {one.row:{width}}  {_printed(metric, one.estimate):>7}  {bounds}{spread}".rstrip())


def _print_comparisons(found: "Sequence[Comparison]", title: str, custom: "CustomMetrics") -> None:
    from mmran.metrics.custom import describe
    from mmran.statistics.comparisons import p_text

    width = max(len(one.row) for one in found)
    for name in dict.fromkeys(one.metric for one in found):
        metric = describe(name, custom)
        print(f"\n{metric.title}: {title}, paired over families, p after Holm")
        for one in (one for one in found if one.metric == name):
            bounds = _printed_range(metric, one.low, one.high)
            p = "  at chance, not tested" if one.test == "at chance" else ""
            p = p if one.p_holm is None else f"  p {p_text(one.p_holm)}"
            print(f"  {one.row:{width}}  {_printed(metric, one.difference):>7}  {bounds}{p}".rstrip())
    if any(one.certifies == "weights" for one in found):
        print("\nFewer than three seeds: a small p compares two sets of weights, not two methods.")


def _print_subgroups(statistics: "Statistics", subgroups: "Subgroups") -> None:
    """Each property's values apart, and what the csv leaves out."""
    from mmran.metrics.names import METRICS

    shown = [one for one in statistics.strata if one.stratum.partition(": ")[0] in subgroups.properties]
    width, wide = (max(len(getattr(one, name)) for one in shown) for name in ("row", "stratum"))
    for name in dict.fromkeys(one.metric for one in shown if one.metric in ("dice", "acc")):
        print(f"\n{METRICS[name].title} by subgroup, 95 % interval over families")
        for one in (one for one in shown if one.metric == name):
            bounds = _printed_range(METRICS[name], one.low, one.high)
            value = f"{_printed(METRICS[name], one.estimate):>7}  {bounds}"
            print(f"  {one.row:{width}}  {one.stratum:{wide}}  {one.n_slices:>5} slices  {value}".rstrip())
    for note in statistics.notes:
        print(f"note: {note}")


def _print_verdicts(verdicts: "Sequence[Verdict]") -> None:
    print("\nclaims")
    for one in verdicts:
        print(f"  {one.verdict:17}  {one.row} over {one.against}, {one.metric} ({one.sentence})")


def _trace_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("table", type=Path, metavar="TABLE.csv", help="RESULTS/tables/PROTOCOL/NAME.csv")
    parser.add_argument("row", metavar="ROW", help="label of the row, such as MMRAN")
    parser.add_argument("column", metavar="COLUMN", help="name of the column in the csv, such as dice")


def _trace(arguments: Namespace) -> None:
    from mmran.statistics.trace import trace

    print("\n".join(trace(arguments.table, arguments.row, arguments.column).lines()))


def _nearest_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--store", type=Path, required=True, metavar="STORE.h5", help="the slice store")
    parser.add_argument("--split", type=Path, required=True, metavar="SPLIT.csv", help="which slices train and test")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="folder for cases.csv and the other results"
    )
    metrics_argument(parser)


def _nearest(arguments: Namespace) -> None:
    from mmran.cli.results import described
    from mmran.evaluation.custom_metrics import read_custom_metrics
    from mmran.statistics.nearest_slice import predict_nearest

    custom = read_custom_metrics(arguments.metrics)
    print(described(predict_nearest(arguments.store, arguments.split, arguments.output, custom)))


VERBS: tuple[Verb, ...] = (
    Verb(
        name="compare",
        help="intervals, tests and claims: which differences are real",
        description=(
            "Estimate every row with a 95 % interval, and test its difference to one row, over patient families\n"
            "instead of slices. With OTHER, compare the same experiments of two folders of results on the slices\n"
            "that both tested. Reads only cases.csv, and refuses an edited one.\n\n"
            "  mmran compare results/demo --rows mmran/pkp baseline he --against mmran/pkp --output statistics\n"
            "  mmran compare results/mine --subgroups scanners.csv\n"
            "  mmran compare results/mine results/yours --protocol patient"
        ),
        arguments=_compare_arguments,
        run=_compare,
    ),
    Verb(
        name="trace",
        help="trace a cell of a table to its slices, weights, and data",
        description=(
            "Follow one of our numbers back to the cases that it is computed from, the weights that predicted them,\n"
            "and the data, split and specification behind them. Refuses a cell that no longer matches its cases.\n\n"
            "  mmran trace results/demo/tables/paper/table4.csv MMRAN dice"
        ),
        arguments=_trace_arguments,
        run=_trace,
    ),
    Verb(
        name="nearest-slice",
        help="the baseline that copies the nearest training slice",
        description=(
            "Give every test slice the class and mask of the most similar training slice at 16 x 16 pixels.\n"
            "A network that does no better recognizes patients, not tumors. Writes the same files as an experiment.\n\n"
            "  mmran nearest-slice --store data/slices.h5 --split splits/paper.csv \\\n"
            "      --output results/demo/experiments/nearest-slice/paper"
        ),
        arguments=_nearest_arguments,
        run=_nearest,
    ),
)
