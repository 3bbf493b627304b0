"""What a figure shows, as the stage `figure` reads it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmran.config.schema import check_choice
from mmran.config.shown import build_rows, read_shown
from mmran.files import canonical_json


@dataclass(frozen=True)
class FigureRow:
    """One network of a figure.

    Attributes:
        label: what readers call it.
        experiment: whose results it shows.
        style: its position in the order that fixes colors and lines.
        variant: which of its masks are shown.
    """

    label: str
    experiment: str
    style: int
    variant: str = "raw"


@dataclass(frozen=True)
class FigureSpec:
    """One figure.

    Attributes:
        name: also the stem of its files.
        title: begins its caption.
        kind: how it is drawn, a key of `mmran.report.figures.KINDS`.
        rows: at least one.
        paper_gain: of kind hole-filling, the points of Dice gained that the paper prints.
        against: of kind forest, the label of the row that the others are compared with; the last row if empty.
        metrics: of kind forest, one panel each; the figure's own choice if empty.
    """

    name: str
    title: str
    kind: str
    rows: tuple[FigureRow, ...]
    paper_gain: tuple[float, ...] = ()
    against: str = ""
    metrics: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The text of its specification; without `metrics` if there are none."""
        values = dataclasses.asdict(self)
        return canonical_json(values if self.metrics else {key: values[key] for key in values if key != "metrics"})

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "FigureSpec":
        """Build from plain values; a row without a style gets the style of its position.

        Raises:
            ValueError, TypeError, KeyError: a value is missing, unknown or impossible.
        """
        check_choice("figure_kind", values["kind"], "kind")
        rows = build_rows(FigureRow, [{"style": i, **row} for i, row in enumerate(values["rows"])])
        lists = {key: tuple(values.get(key, ())) for key in ("paper_gain", "metrics")}
        return cls(**{**values, "rows": rows, **lists})

    @classmethod
    def read(cls, path: Path | str) -> "FigureSpec":
        """Read a specification.

        Raises:
            UserError: the file is absent or not the specification of a figure.
        """
        return read_shown(path, "figure", cls.from_values)
