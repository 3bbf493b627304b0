"""What the training verbs print: every epoch to a log, one line per finished training to the terminal."""

import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import TextIO

from mmran.errors import UserError
from mmran.files import ensure_dir
from mmran.training.history import read_history
from mmran.training.outcome import outcome
from mmran.training.record import RunRecord
from mmran.training.trial import Trial

TRIAL_LOG = "train.log"
"""Log of a trial, in its folder; it grows over all attempts."""

_FAILURE_LINES = 10
_STATUS_WIDTH = 118


class Output:
    """The terminal and the optional log file of a training verb; a context manager that closes the file.

    On a terminal, the newest epoch shows in a line that the next one overwrites.

    Attributes:
        quiet: print failures alone; the log still gets everything.
    """

    def __init__(self, log: Path | None = None, verbose: bool = False, *, shared: bool = False) -> None:
        """Open the log.

        Args:
            log: file to write everything to.
            verbose: print every epoch to the terminal too.
            shared: other trainings print to this terminal: a line that is overwritten would be theirs.

        Raises:
            UserError: the log is not writable.
        """
        self._verbose = verbose
        self._status = sys.stderr.isatty() and not verbose and not shared
        self.quiet = False
        self._file: TextIO | None = None
        if log is not None:
            ensure_dir(log.parent)
            try:
                self._file = log.open("w", encoding="utf-8")
            except OSError as error:
                raise UserError(f"--log {log}: cannot be written ({str(error.strerror).lower()})") from error

    def __getstate__(self) -> dict[str, object]:
        """Tune pickles its callbacks with its own state; an open file cannot be pickled."""
        return {**vars(self), "_file": None}

    def __enter__(self) -> "Output":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Log how the verb ends, and close the log."""
        if isinstance(error, UserError):
            self._log(f"error: {error}")
        elif isinstance(error, SystemExit | KeyboardInterrupt):
            self._log("interrupted; finished work is kept, and the same command continues from there")
        elif error is not None:
            self._log("".join(traceback.format_exception(kind, error, trace)))
        self._clear()
        if self._file:
            self._file.close()

    def epoch(self, text: str) -> None:
        """A line of a trial's log."""
        self._log(text)
        if self._verbose:
            print(text, flush=True)
        elif self._status and text.strip():
            print(f"\r{text.splitlines()[-1][:_STATUS_WIDTH]}\x1b[K", end="", file=sys.stderr, flush=True)

    def result(self, text: str) -> None:
        """A line about a whole trial."""
        self._log(text)
        self._clear()
        if not self.quiet:
            print(text, flush=True)

    def finished(self, trial: Trial) -> None:
        """Report a finished trial."""
        self.result(summary(trial))

    def failed(self, trial: Trial) -> None:
        """Print the end of a failed trial's log to the terminal."""
        self._clear()
        path = trial.folder / TRIAL_LOG
        if path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-_FAILURE_LINES:]
            print(f"{path}, last {len(lines)} lines:", *(f"  {line}" for line in lines), sep="\n", file=sys.stderr)

    def _log(self, text: str) -> None:
        if self._file:
            print(text, file=self._file, flush=True)

    def _clear(self) -> None:
        if self._status:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def summary(trial: Trial) -> str:
    """One line about a finished trial: epochs, time, and the validation metrics of the epoch with the best score."""
    record = RunRecord.read(trial.record_path)
    return f"{label(trial)}: {outcome(record, read_history(trial.history_path)[record.best_epoch])}"


def label(trial: Trial) -> str:
    """Experiment, protocol, seed and fold of a trial."""
    return f"{trial.experiment.name} {trial.split.stem} {trial.name}"
