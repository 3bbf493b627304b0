"""The paper's claims that one row is better than another, and the comparison that tests them."""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmran.config.record import read_record
from mmran.config.tables import NEAREST, TableSpec
from mmran.files import canonical_json


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper that ranks two rows.

    Attributes:
        sentence: what the paper says, and where.
        row, against: EXPERIMENT/VARIANT; the claim is that `row` is better.
        metric: a name of `mmran.metrics.names`, or of a custom metric.
        printed_row, printed_against: the paper's values, as its tables print them; None where they print none.
    """

    sentence: str
    row: str
    against: str
    metric: str
    printed_row: float | None = None
    printed_against: float | None = None


@dataclass(frozen=True)
class ComparisonSpec:
    """What the stage `compare` needs to know.

    Attributes:
        rows: EXPERIMENT/VARIANT of every row that a table of metrics shows.
        against: the row that the others are compared with: the one with the most claims, else the last one; None if
            there are no rows.
        metrics: the columns of these tables.
        claims: the claims to test.
    """

    rows: tuple[str, ...]
    against: str | None
    metrics: tuple[str, ...]
    claims: tuple[Claim, ...]

    def to_json(self) -> str:
        """The text of its specification."""
        return canonical_json(dataclasses.asdict(self))

    @classmethod
    def of(
        cls,
        tables: Sequence[TableSpec],
        claims: Iterable[Mapping[str, Any]],
        row_named: Callable[[str, str], str],
    ) -> "ComparisonSpec":
        """Build from tables of metrics and the configuration's claims.

        Args:
            tables: those that the comparison covers.
            claims: entries of `claims`.
            row_named: EXPERIMENT/VARIANT of a row from its name in a claim, and the key for the message.
        """
        printed = {
            (f"{row.experiment}/{row.variant}", metric): value
            for table in tables
            for row in table.rows
            for metric, value in row.paper.items()
        }
        tested: list[Claim] = []
        for i, claim in enumerate(claims):
            row, *against = (row_named(name, f"claims.{i}") for name in (claim["row"], *claim["against"]))
            tested += [
                Claim(claim["sentence"], row, other, metric, printed.get((row, metric)), printed.get((other, metric)))
                for metric in claim["metrics"]
                for other in against
            ]
        rows = tuple(dict.fromkeys(f"{row.experiment}/{row.variant}" for table in tables for row in table.rows))
        metrics = tuple(dict.fromkeys(metric for table in tables for metric in table.metrics))
        # The row with the most claims, which is the paper's own network.
        about = [one.row for one in tested if one.row in rows]
        trained = [row for row in rows if not row.startswith(f"{NEAREST}/")]
        reference = max(about, key=about.count) if about else trained[-1] if trained else None
        shown = (*trained, f"{NEAREST}/raw") if trained else ()
        return cls(shown, reference, metrics, tuple(tested))

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "ComparisonSpec":
        """Build from plain values.

        Raises:
            TypeError, KeyError: a value is missing or unknown.
        """
        claims = tuple(Claim(**claim) for claim in values["claims"])
        lists = {name: tuple(values[name]) for name in ("rows", "metrics")}
        return cls(**{**values, **lists, "claims": claims})

    @classmethod
    def read(cls, path: Path | str) -> "ComparisonSpec":
        """Read a specification.

        Raises:
            UserError: the file is absent or not the specification of a comparison.
        """
        return read_record(path, "the specification of a comparison", cls.from_values)


def claims_left(claims: Iterable[Mapping[str, Any]], removed: Collection[str]) -> list[dict[str, Any]]:
    """The claims about experiments that an overlay has not removed with a null.

    Args:
        claims: entries of `claims`.
        removed: names of the removed experiments.
    """
    left = []
    for claim in claims:
        against = [name for name in claim["against"] if name.partition("/")[0] not in removed]
        if against and claim["row"].partition("/")[0] not in removed:
            left.append({**claim, "against": against})
    return left
