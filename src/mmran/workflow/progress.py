"""A line for each finished training of a run: what it reached, how many are done, and the time left for the run."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmran.errors import UserError
from mmran.training.outcome import clock, outcome_of_all

TRAINING = ("train", "train_predict_and_evaluate")
"""Rules that train."""
_TRAINING = TRAINING[0]


Training = tuple[str, str]
"""Experiment and protocol."""


@dataclass(frozen=True)
class _Job:
    """A job of the run: its kind, its training if it trains, and its start in seconds."""

    kind: str
    training: Training | None
    started: float


@dataclass
class Remaining:
    """Estimates the time left from the jobs that have ended.

    A job lasts as long as the mean of its kind so far, a training in proportion to its size. One that runs lasts as
    long as the mean of those that lasted longer. As many run at a time as did on average.

    Attributes:
        total: rule -> jobs of the run.
        sizes: the trainings that could run, each with the number of images that it trains on; others are
            like their mean.
        running: job -> what is known of it.
        finished: the finished jobs, each with its seconds.
    """

    total: Mapping[str, int]
    sizes: Mapping[Training, float] = field(default_factory=dict)
    running: dict[int, _Job] = field(default_factory=dict)
    finished: list[tuple[_Job, float]] = field(default_factory=list)
    began: float | None = None

    def start(self, job: int, rule: str, now: float, training: Training | None = None) -> None:
        """A job starts."""
        self.began = now if self.began is None else self.began
        self.running[job] = _Job(_kind(rule), training, now)

    def finish(self, job: int, now: float) -> None:
        """A job ends; nothing happens if it is not known to run."""
        if found := self.running.pop(job, None):
            self.finished.append((found, now - found.started))

    @property
    def trained(self) -> int:
        """Finished trainings."""
        return sum(job.kind == _TRAINING for job, _ in self.finished)

    @property
    def trainings(self) -> int:
        """Trainings of the run."""
        return sum(self.total.get(rule, 0) for rule in TRAINING)

    def seconds(self, now: float) -> float | None:
        """Seconds until the run ends; None while no training has ended, since nothing tells how long they take."""
        if self.began is None or (self.trainings and not self.trained):
            return None
        rates = {kind: self._rate(kind) for kind in {job.kind for job, _ in self.finished}}
        others = [rate for kind, rate in rates.items() if kind != _TRAINING]
        usual = sum(others) / len(others) if others else 0.0
        work = sum(size * rates.get(kind, usual) for kind, size in self._waiting().items())
        work += sum(self._left(job, now - job.started, usual) for job in self.running.values())
        busy = sum(seconds for _, seconds in self.finished) + sum(now - job.started for job in self.running.values())
        at_a_time = max(1.0, busy / max(now - self.began, 1e-9))
        return work / at_a_time

    def _size(self, training: Training | None) -> float:
        mean = sum(self.sizes.values()) / len(self.sizes) if self.sizes else 1.0
        return 1.0 if training is None else self.sizes.get(training, mean)

    def _rate(self, kind: str) -> float:
        """Seconds for a job of size 1."""
        finished = [(seconds, self._size(job.training)) for job, seconds in self.finished if job.kind == kind]
        return sum(seconds for seconds, _ in finished) / sum(size for _, size in finished)

    def _waiting(self) -> dict[str, float]:
        """Kind -> size of all jobs that have not started."""
        begun = [*self.running.values(), *(job for job, _ in self.finished)]
        number: Counter[str] = Counter()
        for rule, n in self.total.items():
            number[_kind(rule)] += n
        number.subtract(job.kind for job in begun)
        waiting = {kind: float(max(0, n)) for kind, n in number.items()}
        # A run of some targets has fewer trainings than could run.
        if sizes := [self.sizes[one] for one in self.sizes.keys() - {job.training for job in begun}]:
            waiting[_TRAINING] *= sum(sizes) / len(sizes)
        return waiting

    def _left(self, job: _Job, elapsed: float, usual: float) -> float:
        """Seconds left to a running job: as long as finished jobs that lasted longer for their size; 0 if none did."""
        size = self._size(job.training)
        alike = [size / self._size(one.training) * seconds for one, seconds in self.finished if one.kind == job.kind]
        longer = [seconds for seconds in alike or [usual] if seconds > elapsed]
        return sum(longer) / len(longer) - elapsed if longer else 0.0


def _kind(rule: str) -> str:
    return _TRAINING if rule in TRAINING else rule


class TrainingLines(logging.Handler):
    """Prints the lines, beside whatever else Snakemake's loggers print."""

    def __init__(self, results: Path, sizes: Callable[[], Mapping[Training, float]]) -> None:
        """Listen to Snakemake's events.

        Args:
            results: the folder of results.
            sizes: asked for `Remaining.sizes` whenever a training has ended, since splits appear during a run.
        """
        super().__init__()
        self._results = results
        self._sizes = sizes
        self._remaining = Remaining({})
        self._trainings: dict[int, Training] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Take an event of Snakemake; a line fails no run."""
        try:
            self._take(str(getattr(record, "event", "")), record, time.monotonic())
        except Exception:  # as `logging` does with every handler
            self.handleError(record)

    def _take(self, event: str, values: Any, now: float) -> None:
        if event == "run_info":
            self._remaining = Remaining({rule: n for rule, n in values.stats.items() if rule != "total"})
        elif event == "job_info":
            if values.rule_name in TRAINING:
                self._trainings[values.jobid] = values.wildcards["experiment"], values.wildcards["protocol"]
            self._remaining.start(values.jobid, values.rule_name, now, self._trainings.get(values.jobid))
        elif event == "job_finished":
            self._remaining.finish(values.job_id, now)
            if training := self._trainings.pop(values.job_id, None):
                print(self._line(*training, now), file=sys.stderr, flush=True)

    def _line(self, experiment: str, protocol: str, now: float) -> str:
        remaining = self._remaining
        try:
            reached = outcome_of_all(self._results / "experiments" / experiment / protocol)
        except (UserError, IndexError):
            reached = "trained"
        remaining.sizes = self._sizes()
        left = remaining.seconds(now)
        return f"{remaining.trained}/{remaining.trainings} {experiment}, {protocol}: {reached}" + (
            "" if left is None else f"; about {clock(left)} left"
        )
