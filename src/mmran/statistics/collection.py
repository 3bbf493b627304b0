"""Every statistic of one test set, as the csv files of a folder."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmran.config.claims import Claim
from mmran.data.subgroups import Subgroups
from mmran.metrics.custom import CustomMetrics
from mmran.statistics.calibration import Calibration, ReliabilityBin, calibrations, reliability_bins
from mmran.statistics.claims import Verdict, judge
from mmran.statistics.comparisons import Comparison, compare_all
from mmran.statistics.files import write_csv
from mmran.statistics.intervals import Bootstrap, Interval, intervals
from mmran.statistics.perclass import PerClass, per_class
from mmran.statistics.rows import Row, check_same_slices, shared_custom
from mmran.statistics.strata import Example, Stratum, by_stratum, examples


@dataclass(frozen=True)
class Statistics:
    """What `mmran compare` computes from a set of rows.

    Attributes:
        intervals: every metric of every row.
        comparisons: every row against the reference.
        per_class: sensitivity, specificity, and precision of every class.
        strata: tumor sizes, classes, origins of gliomas, and subgroups, separately.
        examples: worst, median, and best slice of every class.
        calibrations: how well class probabilities match the share of right predictions.
        reliability: the bins behind `calibrations`.
        verdicts: on the claims; empty without claims.
        custom: definitions of the metrics from outside the package that all rows have.
        notes: what the user's subgroups leave out.
    """

    intervals: Sequence[Interval]
    comparisons: Sequence[Comparison]
    per_class: Sequence[PerClass]
    strata: Sequence[Stratum]
    examples: Sequence[Example]
    calibrations: Sequence[Calibration]
    reliability: Sequence[ReliabilityBin]
    verdicts: Sequence[Verdict]
    custom: CustomMetrics = field(default_factory=dict)
    notes: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        rows: Sequence[Row],
        against: Row,
        metrics: Sequence[str],
        claims: Sequence[Claim],
        subgroups: Subgroups | None = None,
    ) -> "Statistics":
        """Compute every statistic.

        Args:
            rows: tested on the same slices.
            against: one of them, the reference of the comparisons.
            metrics: of intervals and comparisons.
            claims: the claims to judge.
            subgroups: more strata.

        Raises:
            UserError: rows tested different slices, all slices are of one family or class, or subgroups name none.
        """
        check_same_slices(rows)
        bootstrap = Bootstrap(rows[0].families)
        return cls(
            intervals(rows, metrics, bootstrap),
            compare_all(rows, against, metrics, bootstrap),
            per_class(rows, bootstrap),
            by_stratum(rows, bootstrap, subgroups),
            examples(rows),
            calibrations(rows),
            reliability_bins(rows),
            judge(claims, {row.label: row for row in rows}, bootstrap),
            shared_custom(rows),
            subgroups.notes(rows[0].seeds[0]) if subgroups else (),
        )

    def write(self, folder: Path, *, claims: bool) -> None:
        """Write one csv per kind of statistic; `claims.csv` only if claims were requested."""
        write_csv(folder / "intervals.csv", Interval, self.intervals)
        write_csv(folder / "comparisons.csv", Comparison, self.comparisons)
        write_csv(folder / "perclass.csv", PerClass, self.per_class)
        write_csv(folder / "strata.csv", Stratum, self.strata)
        write_csv(folder / "worst.csv", Example, self.examples)
        write_csv(folder / "calibration.csv", Calibration, self.calibrations)
        write_csv(folder / "reliability.csv", ReliabilityBin, self.reliability)
        if claims:
            write_csv(folder / "claims.csv", Verdict, self.verdicts)
