"""A line for each finished training of a run: what it reached, how many are done, and the time left for the run."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmran.errors import UserError
from mmran.training.outcome import clock, outcome_of_all

TRAINING = ("train", "train_predict_and_evaluate")
"""Rules that train."""


@dataclass
class Remaining:
    """Estimates the time left from the jobs that have ended.

    A job lasts as long as the mean of its rule so far, one that runs as long as the mean of those that lasted longer.
    As many run at a time as did on average.

    Attributes:
        total: rule -> jobs of the run.
        running: job -> its rule and its start in seconds.
        durations: rule -> seconds of each finished job.
    """

    total: Mapping[str, int]
    running: dict[int, tuple[str, float]] = field(default_factory=dict)
    durations: dict[str, list[float]] = field(default_factory=dict)
    began: float | None = None

    def start(self, job: int, rule: str, now: float) -> None:
        """A job starts."""
        self.began = now if self.began is None else self.began
        self.running[job] = rule, now

    def finish(self, job: int, now: float) -> str | None:
        """A job ends; returns its rule, None for a job that is not known to run."""
        rule, started = self.running.pop(job, (None, now))
        if rule is not None:
            self.durations.setdefault(rule, []).append(now - started)
        return rule

    def done(self, rule: str) -> int:
        """Finished jobs of a rule."""
        return len(self.durations.get(rule, ()))

    def seconds(self, now: float) -> float | None:
        """Seconds until the run ends; None while no training has ended, since nothing tells how long they take."""
        if self.began is None or any(self.total.get(rule) and not self.done(rule) for rule in TRAINING):
            return None
        means = {rule: sum(times) / len(times) for rule, times in self.durations.items()}
        others = [mean for rule, mean in means.items() if rule not in TRAINING]
        usual = sum(others) / len(others) if others else 0.0
        waiting = Counter(self.total)
        waiting.subtract({rule: len(times) for rule, times in self.durations.items()})
        waiting.subtract(rule for rule, _ in self.running.values())
        work = sum(max(0, n) * means.get(rule, usual) for rule, n in waiting.items())
        work += sum(self._left(rule, now - started, usual) for rule, started in self.running.values())
        busy = sum(map(sum, self.durations.values())) + sum(now - started for _, started in self.running.values())
        at_a_time = max(1.0, busy / max(now - self.began, 1e-9))
        return work / at_a_time

    def _left(self, rule: str, elapsed: float, usual: float) -> float:
        """Seconds left to a running job: as long as the finished jobs that lasted longer; 0 if none did."""
        longer = [seconds for seconds in self.durations.get(rule, [usual]) if seconds > elapsed]
        return sum(longer) / len(longer) - elapsed if longer else 0.0


class TrainingLines(logging.Handler):
    """Prints the lines, beside whatever else Snakemake's loggers print."""

    def __init__(self, results: Path) -> None:
        """Listen to Snakemake's events.

        Args:
            results: the folder of results.
        """
        super().__init__()
        self._results = results
        self._remaining = Remaining({})
        self._trainings: dict[int, tuple[str, str]] = {}

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
            self._remaining.start(values.jobid, values.rule_name, now)
            if values.rule_name in TRAINING:
                self._trainings[values.jobid] = values.wildcards["experiment"], values.wildcards["protocol"]
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
        left = remaining.seconds(now)
        done = sum(map(remaining.done, TRAINING))
        total = sum(remaining.total.get(rule, 0) for rule in TRAINING)
        return f"{done}/{total} {experiment}, {protocol}: {reached}" + (
            "" if left is None else f"; about {clock(left)} left"
        )
