"""Statistics as tables for readers: verdicts on the paper's claims, classes, strata, and calibration."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mmran.evaluation.postprocess import RAW
from mmran.metrics.custom import CustomMetrics, describe
from mmran.metrics.names import Metric
from mmran.report.formats import MISSING, Cell, Column, Table, write_table
from mmran.statistics.calibration import Calibration
from mmran.statistics.claims import Verdict
from mmran.statistics.collection import Statistics
from mmran.statistics.comparisons import p_text
from mmran.statistics.perclass import READERS, PerClass
from mmran.statistics.strata import Stratum

TITLES = {
    "claims": "The paper's claims",
    "perclass": "Sensitivity, specificity, and precision of each class",
    "strata": "Results by tumor size, class, origin, and subgroup",
    "calibration": "Calibration of the class probabilities",
}
INTERVALS_NOTE = "In brackets: 95 % intervals over patient families."
_STRATUM_TITLES = {"dice": "Dice (%)", "n_missed": "missed (%)", "n_no_overlap": "no overlap (%)", "acc": "Acc (%)"}


def write_evidence(statistics: Statistics, folder: Path) -> list[Path]:
    """Write every table as csv, md, tex, and html; returns the paths."""
    return [path for table in evidence_tables(statistics) for path in write_table(table, folder / f"{table.name}.csv")]


def evidence_tables(statistics: Statistics) -> list[Table]:
    """The tables, in the order of `mmran.config.jobs.EVIDENCE`."""
    return [
        claims_table(statistics.verdicts, statistics.custom),
        per_class_table(statistics.per_class),
        strata_table(statistics.strata, statistics.notes),
        calibration_table(statistics.calibrations),
    ]


def claims_table(verdicts: Sequence[Verdict], custom: CustomMetrics | None = None) -> Table:
    """What the paper claims, what its printed numbers allow at best, and what our rows show."""

    def how(one: Verdict) -> Metric:
        return describe(one.metric, custom or {})

    columns: dict[str, tuple[str, Callable[[Verdict], Cell]]] = {
        "claim": ("claim", lambda one: Cell(one.sentence)),
        "row": ("row", lambda one: _name(one.row)),
        "against": ("against", lambda one: _name(one.against)),
        "metric": ("metric", lambda one: Cell(how(one).title)),
        "printed_row": ("printed", lambda one: _paper(how(one), one.printed_row)),
        "printed_against": ("printed against", lambda one: _paper(how(one), one.printed_against)),
        "best_p": ("best p", lambda one: _p(one.best_p)),
        "max_discordant": ("slices may differ", lambda one: Cell(_text(one.max_discordant))),
        "ours_row": ("ours", lambda one: Cell(_value(how(one), one.ours_row))),
        "ours_against": ("ours against", lambda one: Cell(_value(how(one), one.ours_against))),
        "difference": ("difference", lambda one: _difference(one, how(one))),
        "p_holm": ("p (Holm)", lambda one: _p(one.p_holm)),
        "n_seeds": ("seeds", lambda one: Cell(str(one.n_seeds or MISSING))),
        "n_families": ("families", lambda one: Cell(str(one.n_families or MISSING))),
        "verdict": ("verdict", lambda one: Cell(one.verdict)),
    }
    counts = Counter(one.verdict for one in verdicts)
    notes = [
        f"{'; '.join(f'{number} {word}' for word, number in sorted(counts.items()))}." if counts else "No claims.",
        "Best p: exact McNemar test of the two printed accuracies, k of 306 slices each, if the better network were "
        "right wherever the other is. Slices may differ: the most slices on which the two may disagree for p <= .05; "
        "a dash if no pairing reaches it.",
        "Ours: differences over patient families, Holm's correction over the claims of a metric. Supported or "
        "contradicted needs three seeds in both rows: fewer compare two sets of weights, not two methods. "
        "Untestable: fewer seeds that differ, a row at chance, or an absent row.",
    ]
    rows = tuple(tuple(cell(one) for _, cell in columns.values()) for one in verdicts)
    titles = tuple(Column(key, title) for key, (title, _) in columns.items())
    return Table("claims", TITLES["claims"], titles, rows, tuple(notes))


def per_class_table(found: Sequence[PerClass]) -> Table:
    """One line per row and class."""
    columns = [Column("row", ""), Column("class", "class"), Column("n", "n"), Column("n_families", "families")]
    columns += [Column(measure, f"{measure} (%)") for measure in READERS]
    by_line: dict[tuple[str, str], dict[str, PerClass]] = {}
    for one in found:
        by_line.setdefault((one.row, one.tumor_class), {})[one.measure] = one
    rows = []
    for (row, name), measures in by_line.items():
        first = next(iter(measures.values()))
        cells = [_name(row), Cell(name), Cell(str(first.n_slices)), Cell(str(first.n_families))]
        rows.append((*cells, *(_percent(measures.get(measure)) for measure in READERS)))
    return Table("perclass", TITLES["perclass"], tuple(columns), tuple(rows), _NOTES)


def strata_table(found: Sequence[Stratum], notes: Sequence[str] = ()) -> Table:
    """One line per row and stratum, with notes about the user's subgroups."""
    columns = [Column("row", ""), Column("stratum", "stratum"), Column("n", "n"), Column("n_families", "families")]
    columns += [Column(metric, title) for metric, title in _STRATUM_TITLES.items()]
    by_line: dict[tuple[str, str], dict[str, Stratum]] = {}
    for one in found:
        by_line.setdefault((one.row, one.stratum), {})[one.metric] = one
    rows = []
    for (row, stratum), metrics in by_line.items():
        first = next(iter(metrics.values()))
        cells = [_name(row), Cell(stratum), Cell(str(first.n_slices)), Cell(str(first.n_families))]
        rows.append((*cells, *(_percent(metrics.get(metric)) for metric in _STRATUM_TITLES)))
    sizes = (
        "Sizes: thirds of the training slices by tumor area. MR patients: gliomas whose patient number starts with MR."
    )
    return Table("strata", TITLES["strata"], tuple(columns), tuple(rows), (*_NOTES, sizes, *notes))


def calibration_table(found: Sequence[Calibration]) -> Table:
    """One line per row that classifies."""
    columns = (
        *(Column("row", ""), Column("ece", "ECE (%)"), Column("brier", "Brier"), Column("log_loss", "log loss")),
        *(Column("slope", "slope"), Column("n", "n"), Column("seeds", "seeds")),
    )
    rows = tuple(
        (
            *(_name(one.row), Cell(f"{100 * one.ece:.1f}"), Cell(f"{one.brier:.3f}"), Cell(f"{one.log_loss:.3f}")),
            *(
                Cell(MISSING if one.slope is None else f"{one.slope:.2f}"),
                Cell(str(one.n_slices)),
                Cell(str(one.n_seeds)),
            ),
        )
        for one in found
    )
    note = (
        "ECE: expected calibration error in ten bins with equal numbers of slices. Slope: 1 if the probabilities are "
        "calibrated, below 1 if a network is overconfident; a dash if no finite slope fits best."
    )
    return Table("calibration", TITLES["calibration"], columns, rows, (note,))


def verdict_counts(rows: Sequence[Mapping[str, str]]) -> str:
    """Number of claims with each verdict, from the lines of claims.csv."""
    counts = Counter(row["verdict"] for row in rows if "verdict" in row)
    return ", ".join(f"{number} {word}" for word, number in sorted(counts.items()))


_NOTES = (INTERVALS_NOTE,)


def _name(row: str) -> Cell:
    """EXPERIMENT/VARIANT; without the variant where masks are as predicted."""
    return Cell(row.removesuffix(f"/{RAW}"))


def _value(metric: Metric, value: float | None) -> str:
    return MISSING if value is None else metric.text(value)


def _paper(metric: Metric, value: float | None) -> Cell:
    return Cell(MISSING if value is None else f"{value:.{metric.decimals}f}")


def _text(value: int | None) -> str:
    return MISSING if value is None else str(value)


def _p(value: float | None) -> Cell:
    return Cell(MISSING if value is None else p_text(value))


def _difference(one: Verdict, metric: Metric) -> Cell:
    low, high = (_value(metric, bound) for bound in (one.low, one.high))
    return Cell(_value(metric, one.difference), spread="" if MISSING in (low, high) else f"[{low}, {high}]")


def _percent(one: PerClass | Stratum | None) -> Cell:
    if one is None or one.estimate is None:
        return Cell(MISSING)
    spread = "" if one.low is None or one.high is None else f"[{100 * one.low:.1f}, {100 * one.high:.1f}]"
    return Cell(f"{100 * one.estimate:.2f}", spread=spread)
