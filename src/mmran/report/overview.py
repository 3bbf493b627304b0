"""The start page of a report: what was run on which data, how long and where, and every table and figure by its title.

Everything is read from a folder of results; only sums are computed here.
"""

import csv
import importlib.metadata
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmran.config.accepted import read_acceptances
from mmran.config.figures import FigureSpec
from mmran.config.tables import TableSpec
from mmran.data.split_report import SplitReport
from mmran.errors import UserError
from mmran.evaluation.custom_metrics import read_custom_metrics
from mmran.evaluation.record import read_inference
from mmran.metrics.custom import CustomMetrics
from mmran.metrics.names import find_metric, is_metric
from mmran.report.evidence import TITLES as EVIDENCE_TITLES
from mmran.report.evidence import verdict_counts
from mmran.report.formats import MISSING
from mmran.report.notes import leak_note
from mmran.report.results import machine_name
from mmran.report.sizes import TITLES as SIZE_TITLES
from mmran.training.record import RunRecord, read_runs
from mmran.version import __version__

PACKAGES = ("torch", "numpy", "scipy", "pandas", "h5py", "matplotlib", "snakemake", "ray")


@dataclass(frozen=True)
class TableEntry:
    """One table.

    Attributes:
        name, protocol, title: which.
        headline: "label: Dice (%) 75.50 [70.1, 79.9], Acc (%) 88.00 [83.2, 92.0]", the last row, where a paper puts its
            own method; of claims, how many got which verdict; empty for the other statistics.
        html: the table as a fragment without its style.
    """

    name: str
    protocol: str
    title: str
    headline: str
    html: str


@dataclass(frozen=True)
class FigureEntry:
    """One figure: which, its caption, and the bytes of its PNG."""

    name: str
    protocol: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class Training:
    """The trainings of one experiment under one protocol.

    Attributes:
        experiment, protocol: which.
        trials: number of trainings: seeds times folds.
        epochs: of each.
        seconds: of all together, interruptions excluded.
        machines: what they ran on.
    """

    experiment: str
    protocol: str
    trials: int
    epochs: int
    seconds: float
    machines: tuple[str, ...]


@dataclass(frozen=True)
class Overview:
    """What the start page says.

    Attributes:
        results: the folder.
        data: sentences on the slices.
        findings: what the audit found wrong; empty if nothing.
        splits: one sentence per protocol.
        trainings: every experiment.
        predicted: number of predicted test slices, over all seeds.
        accepted: results that the user accepted for other code.
        tables, figures: in the order of their names, the headline protocol first.
        versions: package -> version, of the trainings and of the machine that wrote this page.
    """

    results: str
    data: tuple[str, ...]
    findings: tuple[str, ...]
    splits: tuple[str, ...]
    trainings: tuple[Training, ...]
    predicted: int
    accepted: tuple[str, ...]
    tables: tuple[TableEntry, ...]
    figures: tuple[FigureEntry, ...]
    versions: tuple[str, ...]


def read_overview(results: Path) -> Overview:
    """Collect the content of a folder of results.

    Raises:
        UserError: it holds no trainings, or a file is damaged.
    """
    folders = sorted(path.parent for path in results.glob("experiments/*/*/runs.json"))
    if not folders:
        raise UserError(f"{results}: holds no trainings; run snakemake with the configuration that names this folder")
    runs = {folder: read_runs(folder / "runs.json") for folder in folders}
    inference = [path for folder in folders if (path := folder / "inference.json").is_file()]
    data, findings = _audit(results / "data" / "audit.txt", synthetic=(results / "phantom").is_dir())
    return Overview(
        results=results.name,
        data=data,
        findings=findings,
        splits=tuple(_split(path) for path in sorted(results.glob("splits/*.json"))),
        trainings=tuple(_training(folder, records) for folder, records in runs.items()),
        predicted=sum(record.images for path in inference for record in read_inference(path)),
        accepted=tuple(f"{one.job}, {one.date}: {one.because}" for one in read_acceptances(results)),
        tables=tuple(_table(results, path) for path in sorted(results.glob("tables/*/*.csv"), key=_paper_first)),
        figures=tuple(_figure(results, path) for path in sorted(results.glob("figures/*/*.png"))),
        versions=_versions([record for records in runs.values() for record in records]),
    )


def _audit(path: Path, synthetic: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The first sentence of an audit, and its findings, which it marks with exclamation marks."""
    source = "Synthetic slices made by mmran: they show that everything works, but nothing about patients."
    # The rule's log starts with an empty line left by a progress bar.
    lines = path.read_text(encoding="utf-8").strip().splitlines() if path.is_file() else []
    findings: list[str] = []
    inside = False
    for line in lines:
        if line.startswith("  !! "):
            findings.append(line[4:].strip())
            inside = True
        elif inside and line.startswith("      "):
            findings[-1] += f" {line.strip()}"
        else:
            inside = False
    return (*([source] if synthetic else []), *(f"{line}." for line in lines[:1])), tuple(findings)


def _split(path: Path) -> str:
    report = SplitReport.read(path)
    n = sum(fold.test.slices for fold in report.folds)
    folds = f"{len(report.folds)} folds" if len(report.folds) > 1 else "one split"
    leak = leak_note(report) or "No test slice has a slice of the same patient family in training."
    return f"Protocol {path.stem}: {folds}, {n} test slices in all. {leak}"


def _training(folder: Path, records: Sequence[RunRecord]) -> Training:
    return Training(
        experiment=folder.parent.name,
        protocol=folder.name,
        trials=len(records),
        epochs=max(record.epochs for record in records),
        seconds=sum(record.seconds for record in records),
        machines=tuple(dict.fromkeys(machine_name(record) for record in records)),
    )


def _table(results: Path, path: Path) -> TableEntry:
    spec = results / "specs" / "tables" / f"{path.stem}.json"
    title = TableSpec.read(spec).title if spec.is_file() else path.stem
    metrics = results / "specs" / "metrics.json"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    title = EVIDENCE_TITLES.get(path.stem, title)
    html = path.with_suffix(".html")
    return TableEntry(
        name=path.stem,
        protocol=path.parent.name,
        title=title,
        headline=_headline(path.stem, rows, read_custom_metrics(metrics if metrics.is_file() else None)),
        html=html.read_text(encoding="utf-8").rpartition("</style>\n")[2] if html.is_file() else "",
    )


def _headline(name: str, rows: list[dict[str, str]], custom: CustomMetrics) -> str:
    """A table in one line: the verdicts on claims, else its last row."""
    if name in EVIDENCE_TITLES:
        return verdict_counts(rows)
    return headline(rows[-1], custom) if rows else ""


def headline(row: dict[str, str], custom: CustomMetrics | None = None) -> str:
    """The numbers in one row of a table's csv, each with its 95 % interval, in one line."""
    titles = {name: find_metric(name).title for name in row if is_metric(name)}
    titles |= {name: one.metric.title for name, one in (custom or {}).items()}
    titles |= {key: SIZE_TITLES[key] for key in ("params_m", "gmacs")}
    shown = [
        f"{titles[key]} {value}{_spread(row, key)}" for key, value in row.items() if key in titles and value != MISSING
    ]
    return f"{row['row']}: {', '.join(shown)}" if "row" in row else ", ".join(shown)


def _spread(row: dict[str, str], key: str) -> str:
    """Standard deviation between the seeds and 95 % interval of a number, where the row has them."""
    deviation, low, high = (row.get(f"{key}_{part}", MISSING) for part in ("sd", "low", "high"))
    found = "" if deviation == MISSING else f" ± {deviation}"
    return found if MISSING in (low, high) else f"{found} [{low}, {high}]"


def _figure(results: Path, path: Path) -> FigureEntry:
    text = path.with_suffix(".txt")
    spec = results / "specs" / "figures" / f"{path.stem}.json"
    title = FigureSpec.read(spec).title if spec.is_file() else path.stem
    caption = text.read_text(encoding="utf-8").strip() if text.is_file() else title
    return FigureEntry(path.stem, path.parent.name, caption, path.read_bytes())


def _versions(runs: Sequence[RunRecord]) -> tuple[str, ...]:
    trained = dict.fromkeys(", ".join(f"{name} {version}" for name, version in run.versions.items()) for run in runs)
    here = [f"mmran {__version__}", f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            here.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return (*(f"Trained with {texts}" for texts in trained if texts), f"This page was written with {', '.join(here)}")


def _paper_first(path: Path) -> tuple[str, bool, str]:
    """Sort the tables of statistics after those of the paper."""
    return path.parent.name, path.stem in EVIDENCE_TITLES, path.stem
