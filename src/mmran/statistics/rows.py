"""What is compared: the cases of one experiment in one variant, with the patient families they come from."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmran.config.tables import NEAREST
from mmran.errors import UserError
from mmran.evaluation.cases import read_cases
from mmran.evaluation.postprocess import RAW
from mmran.evaluation.predictions import classes_of
from mmran.evaluation.summary import Summary
from mmran.metrics.custom import CustomMetrics, describe, needs_of
from mmran.metrics.names import Metric

FEW_FAMILIES = 30
"""With fewer families, a bootstrap interval is too narrow, and the output says so."""


class Origin(TypedDict):
    """The columns that identify a row in every csv file of statistics."""

    row: str
    experiment: str
    protocol: str
    cases: str


@dataclass(frozen=True)
class Row:
    """One experiment under one protocol, its masks in one variant.

    Attributes:
        label: what readers call it.
        experiment, protocol, variant: which.
        digest: SHA-256 of its cases.csv.
        cases: (seeds x slices) rows of `mmran.evaluation.cases`, of that variant, sorted by seed and slice.
        custom: definitions of the metrics from outside the package that the cases have.
    """

    label: str
    experiment: str
    protocol: str
    variant: str
    digest: str
    cases: pd.DataFrame
    custom: CustomMetrics = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path | str, variant: str = RAW, label: str | None = None) -> "Row":
        """Read the results of one experiment under one protocol.

        Args:
            folder: holds cases.csv and summary.json.
            variant: which masks.
            label: what readers call it; the experiment's name if None.

        Raises:
            UserError: a file is absent or damaged, cases.csv was edited, or it lacks the variant.
        """
        folder = Path(folder)
        summary = Summary.read(folder / "summary.json")
        cases = read_cases(folder / "cases.csv")
        chosen = cases[cases["variant"] == variant]
        if chosen.empty:
            known = ", ".join(summary.variants)
            raise UserError(f"{folder / 'cases.csv'}: has no variant {variant}, expected one of {known}")
        return cls(
            label=label or summary.experiment,
            experiment=summary.experiment,
            protocol=summary.protocol,
            variant=variant,
            digest=summary.digests["cases"],
            cases=chosen.sort_values(["seed", "slice"], ignore_index=True),
            custom=summary.custom,
        )

    def metric(self, name: str) -> Metric:
        """How one of its metrics is printed and ranked."""
        return describe(name, self.custom)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the data set's classes."""
        return classes_of(self.cases)

    @property
    def origin(self) -> Origin:
        """The columns that identify this row in a csv file of statistics."""
        return {"row": self.label, "experiment": self.experiment, "protocol": self.protocol, "cases": self.digest}

    @cached_property
    def seeds(self) -> list[pd.DataFrame]:
        """The cases of each seed, its folds pooled.

        Raises:
            UserError: two seeds tested different slices.
        """
        seeds = [cases.reset_index(drop=True) for _, cases in self.cases.groupby("seed", sort=True)]
        for cases in seeds[1:]:
            if not cases["slice"].equals(seeds[0]["slice"]):
                numbers = f"{seeds[0]['seed'].iloc[0]} and {cases['seed'].iloc[0]}"
                raise UserError(f"{self.label}: seeds {numbers} tested different slices; evaluate both on one split")
        return seeds

    @cached_property
    def slices(self) -> pd.DataFrame:
        """The class (`label`) and `family` of each test slice, by slice number."""
        return self.seeds[0].set_index("slice")[["label", "family"]]

    @cached_property
    def families(self) -> "Families":
        """The families of its test slices, see `Families.of`."""
        return Families.of(self)

    @property
    def is_copied(self) -> bool:
        """Whether it copies training slices: nothing is random, so another seed would change nothing."""
        return self.experiment == NEAREST

    @cached_property
    def chance(self) -> frozenset[str]:
        """Tasks, "masks" or "classes", in which it has learned nothing: it does no better than without the image.

        Masks: mean Dice no higher than that of marking the whole slice, 2 t / (t + a) for a tumor of area t in a slice
        of area a. Classes: accuracy no higher than that of always naming the most frequent class. Over all seeds.
        """
        cases, found = self.cases, set()
        if cases["missed"].notna().all():
            whole = 2 * cases["tumor_mm2"] / (cases["tumor_mm2"] + cases["image_mm2"])
            if cases["dice"].mean() <= whole.mean():
                found.add("masks")
        if cases["predicted"].notna().all():
            most_frequent = cases["label"].value_counts(normalize=True).max()
            if (cases["predicted"] == cases["label"]).mean() <= most_frequent:
                found.add("classes")
        return frozenset(found)

    def at_chance(self, metric: str) -> bool:
        """Whether it has learned nothing about the task that a metric measures."""
        return needs_of(metric) in self.chance

    def on(self, slices: Sequence[int]) -> "Row":
        """The same row on some of its slices."""
        chosen = self.cases[self.cases["slice"].isin(slices)].reset_index(drop=True)
        return replace(self, cases=chosen)

    def of_seeds(self, seeds: Sequence[int]) -> "Row":
        """The same row with the networks of some of its seeds."""
        chosen = self.cases[self.cases["seed"].isin(seeds)].reset_index(drop=True)
        return replace(self, cases=chosen)


@dataclass(frozen=True)
class Families:
    """The patient families of a test set: the units that a statistic resamples.

    Slices of one patient resemble each other, and so do the examinations of one person, which share a family. A
    statistic that treats slices as independent overstates the evidence up to tenfold.

    Attributes:
        names: (F,) sorted.
        strata: (F,) int64, the class of each family, counted from zero: the class of most of its slices.
    """

    names: tuple[str, ...]
    strata: NDArray[np.int64]

    @classmethod
    def of(cls, row: Row) -> "Families":
        """Find the families of a row's test slices.

        Raises:
            UserError: there is only one family, or only one class.
        """
        # Of two classes that are equally frequent, the first.
        labels = row.slices.groupby(["family", "label"]).size().unstack(fill_value=0).idxmax(axis=1)
        if len(labels) < 2:
            raise UserError(
                f"{row.label}: all test slices are of patient family {labels.index[0]}; statistics need at least two"
            )
        if row.classes and labels.nunique() < 2:
            name = row.classes[int(labels.iloc[0]) - 1]
            raise UserError(f"{row.label}: all test slices are of class {name}; statistics need at least two classes")
        return cls(tuple(map(str, labels.index)), np.asarray(labels, dtype=np.int64) - 1)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def few(self) -> bool:
        """Whether there are too few for an interval to hold its coverage."""
        return len(self) < FEW_FAMILIES

    def codes(self, cases: pd.DataFrame) -> NDArray[np.int64]:
        """(N,) index of each case's family among the names."""
        found = pd.Index(self.names).get_indexer(pd.Index(cases["family"]))
        if (found < 0).any():
            raise KeyError(cases["family"].to_numpy()[found < 0][0])
        return found.astype(np.int64)

    def resampled(self, resamples: int, seed: int) -> NDArray[np.float64]:
        """Draw families with replacement within each class.

        Returns:
            (resamples, F) float64: how often each family is drawn. All rows of a test set share one matrix, so that
            differences between them are paired.
        """
        random = np.random.default_rng(seed)
        weights = np.zeros((resamples, len(self)))
        for stratum in np.unique(self.strata):
            chosen = np.flatnonzero(self.strata == stratum)
            weights[:, chosen] = random.multinomial(len(chosen), np.full(len(chosen), 1 / len(chosen)), size=resamples)
        return weights


def check_same_slices(rows: Sequence[Row]) -> None:
    """Refuse rows of one table that were tested on different slices.

    Raises:
        UserError: names two such rows.
    """
    first = rows[0]
    for row in rows[1:]:
        if not row.seeds[0]["slice"].equals(first.seeds[0]["slice"]):
            raise UserError(f"{first.label} and {row.label} tested different slices; evaluate both on one split")


def shared_custom(rows: Sequence[Row]) -> CustomMetrics:
    """The custom metrics that all rows have.

    Raises:
        UserError: two rows have different metrics of one name.
    """
    first, *others = rows
    shared = dict(first.custom)
    for row in others:
        for name in [name for name in shared if name not in row.custom]:
            del shared[name]
        for name, one in shared.items():
            if row.custom[name] != one:
                raise UserError(
                    f"{first.label} and {row.label} were measured by different metrics called {name}; evaluate both "
                    "with one configuration"
                )
    return shared


def on_shared_slices(a: Row, b: Row) -> tuple[Row, Row]:
    """Two rows on the slices that both tested.

    Raises:
        UserError: they share no slice, or disagree on a slice's class or family.
    """
    of_a, of_b = a.slices, b.slices
    if of_a.equals(of_b):
        return a, b
    shared = of_a.index.intersection(of_b.index).sort_values()
    if shared.empty:
        raise UserError(f"{a.label} and {b.label} share no test slice; compare results of the same data and protocol")
    differs = (of_a.loc[shared] != of_b.loc[shared]).any(axis=1)
    if differs.any():
        raise UserError(
            f"{a.label} and {b.label}: slice {shared[differs][0]} has another class or family in each; "
            "compare results of the same data"
        )
    return a.on(shared.tolist()), b.on(shared.tolist())
