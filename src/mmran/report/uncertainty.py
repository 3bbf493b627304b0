"""How far a table's numbers can be trusted: intervals over patient families, and rows not worse than the best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmran.statistics.comparisons import LEVEL, METHOD_SEEDS, compare, with_holm
from mmran.statistics.intervals import Bootstrap, Interval, interval
from mmran.statistics.rows import Row

AT_CHANCE = "†"
CHANCE_MEANS = "at chance, no better than marking the whole slice or always naming the most frequent class"


@dataclass(frozen=True)
class Uncertainty:
    """The statistics of one table.

    Attributes:
        intervals: per row, metric -> its interval.
        not_worse: metric -> per row, whether no test shows it worse than the best row, rows at chance left out; empty
            for a single row.
        n_families: number of patient families among the test slices.
        few_families: whether they are too few for the intervals to hold their level.
        certifies_methods: whether every row has enough seeds for a test of networks instead of weights.
    """

    intervals: tuple[Mapping[str, Interval], ...]
    not_worse: Mapping[str, tuple[bool, ...]]
    n_families: int
    few_families: bool
    certifies_methods: bool

    @property
    def note(self) -> str:
        """What intervals and bold type mean, and their limits."""
        unlearned = [one for known in self.intervals for one in known.values() if one.at_chance]
        parts = [f"In brackets: 95 % intervals over {self.n_families} patient families"]
        if self.few_families:
            parts.append(" (few families: they are too narrow)")
        if self.not_worse:
            parts.append("; bold: not shown to be worse than the best of the column, after Holm's correction")
            if not self.certifies_methods:
                parts.append(
                    ". With fewer than three seeds, a test applies to these trained weights, not to the networks"
                )
        if unlearned:
            parts.append(f". {AT_CHANCE}: {CHANCE_MEANS}; left out of the tests")
        return f"{''.join(parts)}."


def measure(rows: Sequence[Row], metrics: Sequence[str]) -> Uncertainty:
    """Compute the statistics of a table.

    Args:
        rows: its rows, tested on the same slices.
        metrics: those with an interval.

    Raises:
        UserError: all test slices are of one family or one class, or rows tested different slices.
    """
    bootstrap = Bootstrap(rows[0].families)
    intervals = tuple({metric: interval(row, metric, bootstrap) for metric in metrics} for row in rows)
    not_worse = {metric: _not_worse(rows, [known[metric] for known in intervals], bootstrap) for metric in metrics}
    return Uncertainty(
        intervals=intervals,
        not_worse={metric: marks for metric, marks in not_worse.items() if marks},
        n_families=len(bootstrap.families),
        few_families=bootstrap.families.few,
        certifies_methods=min((len(row.seeds) for row in rows if not row.is_copied), default=1) >= METHOD_SEEDS,
    )


def _not_worse(rows: Sequence[Row], intervals: Sequence[Interval], bootstrap: Bootstrap) -> tuple[bool, ...]:
    """Which rows no test shows to be worse than the best one; empty for fewer than two rows with a value."""
    values = {i: one.estimate for i, one in enumerate(intervals) if one.estimate is not None and not one.at_chance}
    if len(values) < 2:
        return ()
    metric = intervals[0].metric
    choose = min if rows[0].metric(metric).lower_is_better else max
    best = choose(values, key=lambda i: values[i])
    others = [i for i in values if i != best]
    tested = with_holm([compare(rows[i], rows[best], metric, bootstrap) for i in others])
    kept = {best, *(i for i, one in zip(others, tested, strict=True) if one.p_holm is None or one.p_holm >= LEVEL)}
    return tuple(i in kept for i in range(len(rows)))
