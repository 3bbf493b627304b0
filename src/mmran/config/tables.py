"""What a table shows, as the stage `table` reads it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmran.config.schema import check_choice
from mmran.config.shown import build_rows, read_shown
from mmran.files import canonical_json

EVIDENCE = ("claims", "perclass", "strata", "calibration")
"""Statistics that `mmran compare` also writes as tables for readers, beside those of the configuration."""
NEAREST = "nearest-slice"
"""Name of the baseline without a network, which copies the nearest training slice."""


@dataclass(frozen=True)
class TableRow:
    """One row.

    Attributes:
        label: what readers call it.
        experiment: whose results it shows, or `NEAREST`.
        variant: which of its masks are measured.
        paper: metric -> the value that the paper prints.
    """

    label: str
    experiment: str
    variant: str = "raw"
    paper: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class TableSpec:
    """One table.

    Attributes:
        name: also the stem of its files.
        title: its caption.
        kind: "metrics", or "parameters" for sizes and costs of the networks.
        rows: at least one.
        metrics: columns of a table of metrics.
        note: a sentence below it.
    """

    name: str
    title: str
    kind: str
    rows: tuple[TableRow, ...]
    metrics: tuple[str, ...] = ()
    note: str | None = None

    def to_json(self) -> str:
        """The text of its specification."""
        return canonical_json(dataclasses.asdict(self))

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "TableSpec":
        """Build from plain values.

        Raises:
            ValueError, TypeError, KeyError: a value is missing, unknown or impossible.
        """
        check_choice("table_kind", values["kind"], "kind")
        rows = build_rows(TableRow, values["rows"])
        return cls(**{**values, "rows": rows, "metrics": tuple(values.get("metrics", ()))})

    @classmethod
    def read(cls, path: Path | str) -> "TableSpec":
        """Read a specification.

        Raises:
            UserError: the file is absent or not the specification of a table.
        """
        return read_shown(path, "table", cls.from_values)
