"""What a split holds, and how much its test slices have in common with training."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mmran.data.protocol import Protocol
from mmran.errors import UserError
from mmran.files import canonical_json, read_json


@dataclass(frozen=True)
class Siblings:
    """Share of the test slices, 0 to 1, that have a slice of the same patient or family in training."""

    same_pid: float
    same_family: float


@dataclass(frozen=True)
class RoleCount:
    """What one role of a fold holds; `classes` maps a class name to its slices."""

    slices: int
    classes: dict[str, int]
    patients: int
    families: int


@dataclass(frozen=True)
class FoldReport:
    """One fold."""

    fold: int
    train: RoleCount
    val: RoleCount
    test: RoleCount
    siblings: Siblings


@dataclass(frozen=True)
class SplitReport:
    """What `splits/NAME.json` says of a split.

    Attributes:
        protocol: how the slices were divided.
        data: digest of the slice store.
        slices, patients, families: how many there are.
        patients_on_two_sides: PIDs in two roles of some fold.
        families_on_two_sides: families in two roles of some fold.
        siblings: over the test slices of all folds.
        folds: every fold.
    """

    protocol: Protocol
    data: str
    slices: int
    patients: int
    families: int
    patients_on_two_sides: tuple[str, ...]
    families_on_two_sides: tuple[str, ...]
    siblings: Siblings
    folds: tuple[FoldReport, ...]

    @classmethod
    def of(cls, split: pd.DataFrame, protocol: Protocol, data: str, classes: Sequence[str]) -> "SplitReport":
        """Count a split.

        Args:
            split: the table that `splits.make_split` makes.
            protocol: how it was made.
            data: digest of the slice store.
            classes: names of the classes in the order of their labels.
        """
        groups = [(number, split[split["fold"] == number]) for number in split["fold"].unique().tolist()]
        known = {level: [_n_known(group, level) for _, group in groups] for level in ("pid", "family")}
        n_tests = [int((group["role"] == "test").sum()) for _, group in groups]
        folds = [
            FoldReport(
                number,
                _count(group[group["role"] == "train"], classes),
                _count(group[group["role"] == "val"], classes),
                _count(group[group["role"] == "test"], classes),
                Siblings(known["pid"][i] / max(n_tests[i], 1), known["family"][i] / max(n_tests[i], 1)),
            )
            for i, (number, group) in enumerate(groups)
        ]
        return cls(
            protocol=protocol,
            data=data,
            slices=int(split["slice"].nunique()),
            patients=int(split["pid"].nunique()),
            families=int(split["family"].nunique()),
            patients_on_two_sides=_on_two_sides(split, "pid"),
            families_on_two_sides=_on_two_sides(split, "family"),
            siblings=Siblings(*(sum(known[level]) / max(sum(n_tests), 1) for level in ("pid", "family"))),
            folds=tuple(folds),
        )

    def to_json(self) -> str:
        """The text of `splits/NAME.json`."""
        return canonical_json({**dataclasses.asdict(self), "protocol": self.protocol.to_values()})

    @classmethod
    def read(cls, path: Path | str) -> "SplitReport":
        """Read the JSON that `to_json` writes.

        Raises:
            UserError: the file is absent or something else.
        """
        values = read_json(path)
        try:
            folds = [
                FoldReport(
                    fold["fold"],
                    RoleCount(**fold["train"]),
                    RoleCount(**fold["val"]),
                    RoleCount(**fold["test"]),
                    Siblings(**fold["siblings"]),
                )
                for fold in values["folds"]
            ]
            return cls(
                **{
                    **values,
                    "protocol": Protocol.from_values(values["protocol"], f"{path}: protocol"),
                    "patients_on_two_sides": tuple(values["patients_on_two_sides"]),
                    "families_on_two_sides": tuple(values["families_on_two_sides"]),
                    "siblings": Siblings(**values["siblings"]),
                    "folds": tuple(folds),
                }
            )
        except (TypeError, KeyError) as error:
            raise UserError(f"{path}: not the report of a split ({error}); run mmran split again") from error


def _count(part: pd.DataFrame, classes: Sequence[str]) -> RoleCount:
    return RoleCount(
        slices=len(part),
        classes={name: int((part["label"] == i).sum()) for i, name in enumerate(classes, start=1)},
        patients=int(part["pid"].nunique()),
        families=int(part["family"].nunique()),
    )


def _n_known(fold: pd.DataFrame, level: str) -> int:
    """Number of test slices whose patient or family trains too."""
    tests = fold[fold["role"] == "test"]
    return int(tests[level].isin(fold.loc[fold["role"] == "train", level]).sum())


def _on_two_sides(split: pd.DataFrame, level: str) -> tuple[str, ...]:
    roles = split.groupby(["fold", level])["role"].nunique()
    return tuple(sorted({str(name) for _, name in roles[roles > 1].index}))
