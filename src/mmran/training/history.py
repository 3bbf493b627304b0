"""What a training says while it runs: history.csv, and a line that a person can read."""

import csv
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mmran.config.experiment import Experiment
from mmran.files import atomic_path
from mmran.training.recipe import Stage

Row = dict[str, float | int | str]


def write_history(path: Path, rows: Sequence[Row]) -> None:
    """Write one line per epoch; a loss that only some stages have is empty in the others."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def read_history(path: Path) -> list[dict[str, str]]:
    """The lines of a history.csv, as texts; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Progress:
    """Lines of progress: one an epoch, and within a long epoch one every few seconds on a terminal."""

    INTERVAL_SECONDS = 2.0

    def __init__(self, experiment: Experiment, stages: Sequence[Stage], log: Callable[[str], None]) -> None:
        self.experiment = experiment
        self.epochs = sum(stage.epochs for stage in stages)
        self.log = log
        self._last = 0.0

    def step(self, epoch: int, done: int, images: int, began: float) -> None:
        """Say how far an epoch is, on a terminal only: a log file keeps whole epochs."""
        now = time.perf_counter()
        if not sys.stderr.isatty() or now - self._last < self.INTERVAL_SECONDS:
            return
        self._last = now
        speed = done / (now - began)
        text = f"epoch {epoch + 1}/{self.epochs}  {done}/{images} images  {speed:.1f} images/s"
        print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)

    def epoch(self, row: Row, seconds_before: float) -> None:
        """Say what an epoch gave and how long the rest will take.

        Args:
            row: of the history.
            seconds_before: time spent training before this epoch.
        """
        done = int(row["epoch"]) + 1
        left = (seconds_before + float(row["seconds"])) / done * (self.epochs - done)
        losses = [(name, value) for name, value in row.items() if name.endswith("loss")]
        parts = [f"{name.removesuffix('_loss')} {value:.4f}" for name, value in losses]
        parts += [f"alpha {row['alpha']:.2f}"] if "alpha" in row else []
        parts += [f"val {name} {100 * float(row[key]):.2f}" for name, key in _METRICS if key in row]
        ending = "\x1b[K" if sys.stderr.isatty() else ""
        start = "\r" if ending else ""
        self.log(
            f"{start}{self.experiment.name}  epoch {done}/{self.epochs}  {row['stage']}  {'  '.join(parts)}  "
            f"{row['images_per_s']} images/s  {_clock(left)} left{ending}"
        )


_METRICS = (("Dice", "val_dice"), ("Acc", "val_acc"))


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
