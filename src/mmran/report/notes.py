"""Sentences below a table: how its experiments were trained, how the split leaks, and which results were accepted."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mmran.config.accepted import Acceptance, in_effect
from mmran.config.experiment import Experiment
from mmran.config.tables import NEAREST, TableRow
from mmran.data.split_report import SplitReport
from mmran.statistics.rows import Row


def notes_of(results: Path, protocol: str, rows: Sequence[TableRow]) -> list[str]:
    """The notes of a table of metrics, from the files of its results.

    Raises:
        UserError: one of these files is damaged.
    """
    notes = []
    labels = {row.experiment: row.label for row in rows}
    folders = {label: results / "experiments" / name / protocol for name, label in labels.items() if name != NEAREST}
    specs = {label: folder / "spec.json" for label, folder in folders.items()}
    trained = {label: Experiment.read(path) for label, path in specs.items() if path.is_file()}
    if trained:
        notes.append(training_note(trained))
    if NEAREST in labels:
        notes.append(f"{labels[NEAREST]}: no training; copies class and mask of the most similar training slice.")
    report = results / "splits" / f"{protocol}.json"
    if report.is_file() and (leak := leak_note(SplitReport.read(report))):
        notes.append(leak)
    accepted = {label: in_effect(results, name, protocol) for name, label in labels.items()}
    return notes + acceptance_notes(accepted)


def training_note(trained: Mapping[str, Experiment]) -> str:
    """What was trained and how long: what most rows share, then the rows that differ."""
    sizes = {label: _size(experiment) for label, experiment in trained.items()}
    common, _ = Counter(sizes.values()).most_common(1)[0]
    different: dict[str, list[str]] = {}
    for label, size in sizes.items():
        if size != common:
            different.setdefault(size, []).append(label)
    exceptions = [f"{join(labels)}: {size}" for size, labels in different.items()]
    return f"Trained: {'; '.join([common, *exceptions])}."


def _size(experiment: Experiment) -> str:
    training, side = experiment.training, experiment.input.size
    epochs = f"{training.epochs} epoch{'s' if training.epochs != 1 else ''}"
    return f"{epochs} at width {experiment.network.width:g}, {side} x {side} pixels, batch {training.batch_size}"


def leak_note(report: SplitReport) -> str:
    """How much the split leaks about its test patients; empty if no test slice has a relative in training."""
    shared = report.siblings.same_family
    if shared == 0:
        return ""
    return (
        f"{100 * shared:.1f} % of the test slices have a slice of the same patient family in training, so these "
        "numbers also measure how well patients are recognized."
    )


def undefined_notes(rows: Sequence[Row], metrics: Sequence[str]) -> list[str]:
    """One sentence per custom metric that has no value on some slices, which its means leave out."""
    notes = []
    for metric in metrics:
        counts: dict[str, int] = {}
        for row in rows:
            if metric in row.custom and row.cases["missed"].notna().all():
                counts[row.label] = int(row.cases[metric].isna().sum())
        parts = [f"{number} of {label}" for label, number in counts.items() if number]
        if parts:
            title = rows[0].custom[metric].title
            notes.append(f"{title} leaves out masks on which it is not defined: {join(parts)}.")
    return notes


def acceptance_notes(accepted: Mapping[str, Iterable[Acceptance]]) -> list[str]:
    """One sentence per reason for accepting results of other code."""
    labels: dict[tuple[str, str], list[str]] = {}
    for label, acceptances in accepted.items():
        for one in acceptances:
            labels.setdefault((one.date, one.because), []).append(label)
    return [
        f"Accepted on {date} as valid for the present code ({join(list(dict.fromkeys(names)))}): {because}."
        for (date, because), names in labels.items()
    ]


def join(names: Sequence[str]) -> str:
    """Names as a list in a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
