"""Progress of a run over image files: a bar on a terminal, and lines for warnings and failures."""

import sys
import time
from types import TracebackType


class Progress:
    """Files done, time left, and slices per second.

    Attributes:
        slices: slices that were predicted.
        seconds: since `start`.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)
        columns = (MofNCompleteColumn(), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[rate]}"))
        self._bar = Bar(*columns, console=self._console, transient=True, disable=not sys.stderr.isatty())
        self._task = self._bar.add_task("segment", total=None, rate="")
        self.slices = 0
        self._began = time.perf_counter()

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def start(self, n_files: int) -> None:
        """Begin with a number of files."""
        self._began = time.perf_counter()
        self._bar.update(self._task, total=n_files)

    def advance(self, n_slices: int) -> None:
        """Count a finished file and its slices; 0 slices for a failed file."""
        self.slices += n_slices
        self._bar.update(self._task, advance=1, rate=f"{self.images_per_s:.1f} images/s")

    def say(self, line: str) -> None:
        """Print a line on stderr, above the bar."""
        self._console.print(line)

    @property
    def images_per_s(self) -> float:
        """Slices per second since `start`."""
        return self.slices / max(time.perf_counter() - self._began, 1e-9)
