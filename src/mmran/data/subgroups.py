"""Subgroups of the test slices that the user names, such as scanners, sites, or planes, from a csv."""

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmran.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("slice", "pid")
"""Columns that say which slices a line is about: a number of the store, or all slices of a patient."""

MOST_VALUES = 20
"""A column with more distinct values than this is a measurement, not a property that makes groups."""

_TAKEN = ("size", "class", "glioma")
"""Properties that strata have already."""


@dataclass(frozen=True)
class Subgroups:
    """Properties of slices or of patients.

    Attributes:
        path: the csv.
        text: what the csv says.
        key: the column of `KEYS` that it has.
        properties: name of a property -> key -> value; an empty cell is absent.
    """

    path: Path
    text: str
    key: str
    properties: Mapping[str, Mapping[str, str]]

    @classmethod
    def read(cls, path: Path | str) -> "Subgroups":
        """Read a csv with a column `slice` or `pid` and one column per property.

        Raises:
            UserError: the file cannot be read, or has no such columns, an empty key or one twice, or a property that
                makes no groups.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8-sig")
            reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
            names, lines = list(reader.fieldnames or ()), list(reader)
        except OSError as error:
            raise UserError(f"{path}: {error.strerror or error}; expected a csv of subgroups") from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{path}: is no csv: {error}") from error
        key = _key(path, names)
        wrong = next((i for i, line in enumerate(lines, 2) if None in line or None in line.values()), None)
        if wrong:
            raise UserError(f"{path}: line {wrong} does not have the {len(names)} cells of the first line")
        keys = [line[key].strip() for line in lines]
        if "" in keys:
            raise UserError(f"{path}: line {keys.index('') + 2} has an empty {key}; name one, or delete the line")
        if repeated := next((one for one, n in Counter(keys).items() if n > 1), None):
            raise UserError(f"{path}: {key} {repeated} is there twice; expected one line each")
        properties = {
            name: {one: value for one, line in zip(keys, lines, strict=True) if (value := line[name].strip())}
            for name in names
            if name != key
        }
        for name, values in properties.items():
            _check_values(path, name, set(values.values()))
        return cls(path, text, key, properties)

    def values(self, cases: "pd.DataFrame") -> dict[str, "pd.Series[str]"]:
        """The value of each property for every row of cases, empty where the csv says nothing.

        Raises:
            UserError: the csv names none of these slices.
        """
        keys = cases[self.key].astype(str)
        found = {name: keys.map(dict(of)).fillna("") for name, of in self.properties.items()}
        if all((values == "").all() for values in found.values()):
            raise UserError(
                f"{self.path}: says nothing about any test slice; expected values of {self.key} such as {keys.iloc[0]}"
            )
        return found

    def strata(self, cases: "pd.DataFrame") -> dict[str, "pd.Series[bool]"]:
        """`property: value` -> the rows of cases with that value, in the order of the columns, then of the values."""
        return {
            f"{name}: {value}": values == value
            for name, values in self.values(cases).items()
            for value in sorted(set(values) - {""})
        }

    def notes(self, cases: "pd.DataFrame") -> list[str]:
        """A line for every property that some test slices lack, and one about lines that name no test slice."""
        lacking = {name: int((values == "").sum()) for name, values in self.values(cases).items()}
        tested = set(cases[self.key].astype(str))
        unused = len({key for of in self.properties.values() for key in of if key not in tested})
        notes = [
            f"{name}: {self.path.name} says nothing about {n} of {len(cases)} test slices."
            for name, n in lacking.items()
            if n
        ]
        return [*notes, *([f"{self.path.name}: {unused} of its lines name no test slice."] if unused else [])]


def _key(path: Path, names: list[str]) -> str:
    """The column that says which slices, if the columns make sense."""
    key = next((one for one in KEYS if one in names), None)
    if key is None:
        raise UserError(f"{path}: has no column {' or '.join(KEYS)}, only {', '.join(names) or 'an empty line'}")
    if len(names) < 2:
        raise UserError(f"{path}: has no column besides {key}; expected one per property, such as scanner")
    for name in names:
        if not name.strip() or names.count(name) > 1:
            raise UserError(f"{path}: column {name!r} is unnamed or there twice; give each property its own name")
        if name in (*_TAKEN, *(one for one in KEYS if one != key)):
            raise UserError(f"{path}: column {name} means something else to mmran; choose another name")
    return key


def _check_values(path: Path, name: str, values: set[str]) -> None:
    if not values:
        raise UserError(f"{path}: column {name} is empty")
    if len(values) > MOST_VALUES:
        raise UserError(
            f"{path}: column {name} has {len(values)} distinct values, at most {MOST_VALUES} make groups; put "
            "measurements into ranges first"
        )
