"""What finished trainings reached, in words."""

from collections.abc import Sequence
from pathlib import Path

from mmran.training.history import HistoryRow, read_history
from mmran.training.record import RunRecord, read_runs


def outcome(record: RunRecord, best: HistoryRow) -> str:
    """Epochs, time, and the validation metrics of the epoch with the best score."""
    return (
        f"{record.epochs} epochs in {clock(record.seconds)}; best on validation: {_metrics([best])} "
        f"(epoch {record.best_epoch + 1})"
    )


def outcome_of_all(folder: Path) -> str:
    """The same of what a `train` job has published: of its one training, or the means of several.

    Raises:
        UserError: a file is absent or damaged.
    """
    records = read_runs(folder / "runs.json")
    best = [read_history(folder / "trials" / one.trial / "history.csv")[one.best_epoch] for one in records]
    if len(records) == 1:
        return outcome(records[0], best[0])
    epochs = max(record.epochs for record in records)
    seconds = sum(record.seconds for record in records)
    return f"{len(records)} trainings of {epochs} epochs, {clock(seconds)} in all; mean of the best: {_metrics(best)}"


def clock(seconds: float) -> str:
    """A time as "0:34 min" or "2:05:00 h"."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d} h" if hours else f"{minutes}:{seconds:02d} min"


def _metrics(rows: Sequence[HistoryRow]) -> str:
    """Mean validation Dice and accuracy of epochs, as far as the network has them."""
    parts = []
    for name, key in (("Dice", "val_dice"), ("Acc", "val_acc")):
        values = [value for row in rows if (value := getattr(row, key)) is not None]
        parts += [f"{name} {100 * sum(values) / len(values):.2f} %"] if values else []
    return ", ".join(parts)
