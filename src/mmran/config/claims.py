"""The paper's claims that one row is better than another, and the comparison that tests them."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmran.config.record import read_record
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
