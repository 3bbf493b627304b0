"""What a training prints while it runs."""

import sys
import time
from collections.abc import Callable, Sequence

from mmran.training.history import HistoryRow
from mmran.training.recipe import Stage

_METRICS = (("Dice", "val_dice"), ("Acc", "val_acc"))


class Progress:
    """One line per epoch, and on a terminal a line every few seconds within a long epoch."""

    INTERVAL_SECONDS = 2.0

    def __init__(self, name: str, stages: Sequence[Stage], log: Callable[[str], None]) -> None:
        self.name = name
        self.epochs = sum(stage.epochs for stage in stages)
        self.log = log
        self._last = 0.0

    def step(self, epoch: int, done: int, images: int, began: float) -> None:
        """Print the progress within an epoch, only on a terminal: a log file lists whole epochs."""
        now = time.perf_counter()
        if not sys.stderr.isatty() or now - self._last < self.INTERVAL_SECONDS:
            return
        self._last = now
        speed = done / (now - began)
        text = f"epoch {epoch + 1}/{self.epochs}  {done}/{images} images  {speed:.1f} images/s"
        print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)

    def epoch(self, row: HistoryRow, seconds_before: float) -> None:
        """Print the result of an epoch and the time left.

        Args:
            row: of the history.
            seconds_before: training time before this epoch.
        """
        done = row.epoch + 1
        left = (seconds_before + row.seconds) / done * (self.epochs - done)
        parts = [f"{name.removesuffix('_loss')} {value:.4f}" for name, value in row.losses.items()]
        parts += [f"alpha {row.values['alpha']:.2f}"] if "alpha" in row.values else []
        metrics = [(name, getattr(row, key)) for name, key in _METRICS]
        parts += [f"val {name} {100 * value:.2f}" for name, value in metrics if value is not None]
        self.log(
            f"{self.name}  epoch {done}/{self.epochs}  {row.stage}  {'  '.join(parts)}  "
            f"{row.images_per_s} images/s  {_clock(left)} left"
        )


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
