"""The rows of a figure: networks, with what was measured of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mmran.config.figures import FigureSpec
from mmran.evaluation.cases import read_cases
from mmran.evaluation.summary import Summary
from mmran.report.results import read_summary, refuse_mixing, spec_digest


@dataclass(frozen=True)
class Row:
    """One network of a figure.

    Attributes:
        label: what readers call it.
        experiment: name of the experiment.
        style: its place in the order that fixes colours and lines.
        variant: "raw", or "pkp" where its masks are shown with holes filled.
        cases: what `read_cases` returns.
        summary: what `read_summary` returns.
        predictions: path of its predictions.h5.
    """

    label: str
    experiment: str
    style: int
    variant: str
    cases: pd.DataFrame
    summary: Summary
    predictions: Path

    @property
    def segments(self) -> bool:
        """Whether the network draws masks."""
        return bool(self.cases["dice"].notna().any())

    @property
    def classifies(self) -> bool:
        """Whether the network tells classes."""
        return bool(self.cases["predicted"].notna().any())

    @property
    def seeds(self) -> list[int]:
        """Its seeds, in order."""
        return sorted(int(seed) for seed in self.cases["seed"].unique())

    def pictured(self, variant: str) -> pd.DataFrame:
        """Cases of the first seed, its folds pooled, by slice: a picture can show one training only."""
        chosen = (self.cases["seed"] == self.seeds[0]) & (self.cases["variant"] == variant)
        return self.cases[chosen].set_index("slice", drop=False).sort_index()

    def classified(self) -> list[pd.DataFrame]:
        """Cases of each seed, its folds pooled; filling holes does not touch a class, so raw ones."""
        raw = self.cases[self.cases["variant"] == "raw"]
        return [raw[raw["seed"] == seed] for seed in self.seeds]


def read_rows(spec: FigureSpec, results: Path, protocol: str) -> list[Row]:
    """Read the results of every row of a figure.

    Args:
        spec: what the figure shows.
        results: folder of experiments/ and specs/.
        protocol: the split protocol.

    Raises:
        UserError: results are absent, damaged or outdated, or must not stand side by side.
    """
    names = list(dict.fromkeys(row.experiment for row in spec.rows))
    summaries = {name: read_summary(results, name, protocol) for name in names}
    refuse_mixing(f"figure {spec.name}", summaries, {name: spec_digest(results, name, protocol) for name in names})
    folders = {name: results / "experiments" / name / protocol for name in names}
    cases = {name: read_cases(folder / "cases.csv") for name, folder in folders.items()}
    return [
        Row(
            label=row.label,
            experiment=row.experiment,
            style=row.style,
            variant=row.variant,
            cases=cases[row.experiment],
            summary=summaries[row.experiment],
            predictions=folders[row.experiment] / "predictions.h5",
        )
        for row in spec.rows
    ]


def labels(rows: Sequence[Row]) -> str:
    """The rows' labels as a list in a sentence."""
    names = [row.label for row in rows]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def sentence(text: str) -> str:
    """With one full stop at its end, which "et al." has already."""
    return text if text.endswith(".") else f"{text}."


def source(rows: Sequence[Row]) -> str:
    """The last sentence of every caption: what was measured."""
    summary = rows[0].summary
    digests = summary.digests
    return (
        f"Protocol {summary.protocol}, {summary.n} test slices; "
        f"data {digests['data'][:12]}, split {digests['split'][:12]}."
    )
