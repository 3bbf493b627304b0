"""The rows of a figure: networks with their measurements."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mmran.config.figures import FigureSpec
from mmran.evaluation.cases import read_cases
from mmran.evaluation.postprocess import RAW
from mmran.evaluation.predictions import classes_of
from mmran.evaluation.summary import Summary
from mmran.report.notes import join
from mmran.report.results import read_summary, refuse_mixing, spec_digest
from mmran.statistics.rows import Row as TestedRow


@dataclass(frozen=True)
class Row:
    """One network of a figure.

    Attributes:
        label: what readers call it.
        experiment: name of the experiment.
        style: its position in the order that fixes colors and lines.
        variant: which of its masks are shown, such as "raw".
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
        """Whether the network predicts masks."""
        return bool(self.cases["dice"].notna().any())

    @property
    def classifies(self) -> bool:
        """Whether the network predicts classes."""
        return bool(self.cases["predicted"].notna().any())

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the data set's classes."""
        return classes_of(self.cases)

    @property
    def seeds(self) -> list[int]:
        """Its seeds, in order."""
        return sorted(int(seed) for seed in self.cases["seed"].unique())

    def pictured(self, variant: str) -> pd.DataFrame:
        """Cases of the first seed, its folds pooled, by slice: a picture shows one training."""
        chosen = (self.cases["seed"] == self.seeds[0]) & (self.cases["variant"] == variant)
        return self.cases[chosen].set_index("slice", drop=False).sort_index()

    def tested(self) -> TestedRow:
        """The row for statistics: the cases of its variant, or raw ones for a network without masks."""
        variant = self.variant if self.segments else RAW
        chosen = self.cases[self.cases["variant"] == variant].sort_values(["seed", "slice"], ignore_index=True)
        summary = self.summary
        digest = summary.digests["cases"]
        return TestedRow(self.label, self.experiment, summary.protocol, variant, digest, chosen, summary.custom)

    def classified(self) -> list[pd.DataFrame]:
        """Raw cases of each seed, its folds pooled: filling holes does not change classes."""
        raw = self.cases[self.cases["variant"] == RAW]
        return [raw[raw["seed"] == seed] for seed in self.seeds]


def read_rows(spec: FigureSpec, results: Path, protocol: str) -> list[Row]:
    """Read the results of every row of a figure.

    Args:
        spec: what the figure shows.
        results: folder of experiments/ and specs/.
        protocol: the split protocol.

    Raises:
        UserError: results are absent, damaged or outdated, or do not belong together.
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
    """The labels of the rows as a list in a sentence."""
    return join([row.label for row in rows])


def sentence(text: str) -> str:
    """The text with one period at its end, which "et al." already has."""
    return text if text.endswith(".") else f"{text}."


def source(rows: Sequence[Row]) -> str:
    """The last sentence of every caption: what was measured."""
    summary = rows[0].summary
    digests = summary.digests
    return (
        f"Protocol {summary.protocol}, {summary.n} test slices; "
        f"data {digests['data'][:12]}, split {digests['split'][:12]}."
    )
