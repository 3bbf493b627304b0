"""history.csv: one row per epoch of a training."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmran.errors import UserError
from mmran.files import atomic_path

_LOSS = "loss"
_NUMBERS = ("val_dice", "val_acc", "score", "images_per_s", "seconds")


@dataclass(frozen=True)
class HistoryRow:
    """One epoch.

    Attributes:
        epoch: epoch of the whole training, from 0.
        stage: name of the stage.
        losses: mean of each loss over the training slices; the names end in `loss`, the total is `loss`.
        values: what else the recipe reports, such as the task weight `alpha`.
        val_dice: mean Dice of the validation slices, 0 to 1; None where no mask is trained yet.
        val_acc: validation accuracy, 0 to 1; None where no class is trained yet.
        score: mean of the two, or the one there is; it selects the epoch.
        images_per_s: training images per second, validation excluded.
        seconds: duration of training and validation.
        device, precision, threads: see `mmran.training.record.Machine`.
    """

    epoch: int
    stage: str
    score: float
    losses: dict[str, float] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    val_dice: float | None = None
    val_acc: float | None = None
    images_per_s: float = 0.0
    seconds: float = 0.0
    device: str = ""
    precision: str = ""
    threads: int = 0

    def columns(self) -> dict[str, float | int | str]:
        """Column -> value in the order of the file; metrics that do not exist are left out."""
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        return {
            "epoch": self.epoch,
            "stage": self.stage,
            **self.losses,
            **self.values,
            **{name: value for name, value in numbers.items() if value is not None},
            "device": self.device,
            "precision": self.precision,
            "threads": self.threads,
        }

    @classmethod
    def from_columns(cls, columns: dict[str, str]) -> "HistoryRow":
        """Parse the text of one row; an empty cell is a value that the epoch does not have.

        Raises:
            ValueError, KeyError: a column is missing or is not a number.
        """
        given = {name: text for name, text in columns.items() if text}
        texts = {name: given.pop(name) for name in ("epoch", "stage", "device", "precision", "threads")}
        metrics = {name: float(given.pop(name)) for name in _NUMBERS if name in given}
        return cls(
            epoch=int(texts["epoch"]),
            stage=texts["stage"],
            losses={name: float(text) for name, text in given.items() if name.endswith(_LOSS)},
            values={name: float(text) for name, text in given.items() if not name.endswith(_LOSS)},
            score=metrics.pop("score"),
            device=texts["device"],
            precision=texts["precision"],
            threads=int(texts["threads"]),
            **metrics,
        )


def write_history(path: Path, rows: Sequence[HistoryRow]) -> None:
    """Write one line per epoch; a value that only some epochs have is empty in the others."""
    lines = [row.columns() for row in rows]
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _ordered(lines))
        writer.writeheader()
        writer.writerows(lines)


def read_history(path: Path) -> list[HistoryRow]:
    """Read a history.csv; without a file, return no rows.

    Raises:
        UserError: the file is damaged.
    """
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8", errors="strict") as file:
            return [HistoryRow.from_columns(columns) for columns in csv.DictReader(file, restval="")]
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise UserError(
            f"{path}: not the history of a training ({error}); delete it and run `mmran train` again"
        ) from error


def _ordered(lines: Sequence[dict[str, float | int | str]]) -> list[str]:
    """All column names: losses and values of any epoch between the stage and the metrics."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    first, metrics, last = ["epoch", "stage"], [name for name in _NUMBERS if name in names], ["device", "precision"]
    fixed = {*first, *metrics, *last, "threads"}
    return [*first, *(name for name in names if name not in fixed), *metrics, *last, "threads"]
