"""How a data set is divided: one protocol as a typed record.

Named protocols live in the `protocols` section of a configuration, and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mmran.errors import UserError
from mmran.files import canonical_json, read_json

METHODS: Final = {
    "slice": ("fractions", "seed", "stratify"),
    "family": ("folds", "tested_folds", "seed", "stratify"),
    "cvind": ("folds",),
    "file": ("folds", "path"),
}
"""Method -> the keys that it uses, besides those that every method uses."""

APART: Final = ("none", "pid", "family")
_REQUIRED: Final = {"slice": ("fractions", "seed"), "family": ("folds", "seed"), "cvind": (), "file": ("path",)}
_LEAST_FOLDS: Final = {"family": 3, "cvind": 3, "file": 1}


@dataclass(frozen=True)
class Protocol:
    """Which slices train, validate and test.

    Attributes:
        method: how slices are assigned, a key of METHODS:
            `slice` draws slices; one patient's slices land in several roles (the paper's accuracies are k/306,
            which only this method gives);
            `family` draws patients into folds and keeps repeat examinations of one patient together;
            `cvind` uses the folds published with the data set, which split some of those families;
            `file` reads a csv with the columns slice, fold, role.
        apart: what must not appear in two roles of a fold: "none", "pid" or "family". A split that breaks this
            promise is an error.
        fractions: shares of train, val and test, 0 to 1; for `slice`.
        folds: number of folds; for `cvind` and `file` it is optional, and checked against what is found.
        tested_folds: test only this many of the folds, for a quick look; None tests each once; for `family`.
        seed: seed of the shuffle; for `slice` and `family`.
        stratify: whether each class is divided in the same proportions; for `slice` and `family`.
            Deviates: the paper does not say whether its split is stratified; see the ledger.
        path: csv of the method `file`.
        patients_per_class: number of patient families of each class to keep; None keeps all.
    """

    method: str
    apart: str = "none"
    fractions: tuple[float, float, float] | None = None
    folds: int | None = None
    tested_folds: int | None = None
    seed: int | None = None
    stratify: bool = True
    path: str | None = None
    patients_per_class: int | None = None

    @classmethod
    def from_values(cls, values: Mapping[str, Any], where: str = "protocol") -> "Protocol":
        """Check plain values, as in a configuration.

        Args:
            values: the fields of the record; a null is the same as an absent key.
            where: what messages call them, such as `protocols.paper`.

        Raises:
            UserError: a key is unknown, missing or not used by the method, or a value is out of range.
        """
        values = {key: value for key, value in values.items() if value is not None}
        method = values.get("method")
        if not isinstance(method, str) or method not in METHODS:
            raise UserError(f"{where}: method {method!r}, expected {', '.join(METHODS)}")
        used = ("method", "apart", *METHODS[method], *(() if method == "file" else ("patients_per_class",)))
        for key in values:
            if key not in cls.__dataclass_fields__:
                raise UserError(f"{where}: unknown key {key}, expected {', '.join(used)}")
            if key not in used:
                raise UserError(f"{where}: method {method} does not use {key}; remove it")
        for key in _REQUIRED[method]:
            if key not in values:
                example = ", a csv with the columns slice, fold, role" if key == "path" else ""
                raise UserError(f"{where}: method {method} needs {key}{example}")
        for key, value in values.items():
            _check(where, method, key, value)
        if values.get("tested_folds", 1) > values.get("folds", 1):
            raise UserError(
                f"{where}: tested_folds {values['tested_folds']}, expected at most {values['folds']}, its folds"
            )
        if "fractions" in values:
            train, val, test = values["fractions"]
            values["fractions"] = (float(train), float(val), float(test))
        return cls(**values)

    @classmethod
    def read(cls, path: Path | str) -> "Protocol":
        """Read the JSON that `to_json` writes.

        Raises:
            UserError: the file is absent, not JSON, or not a protocol.
        """
        values = read_json(path)
        if not isinstance(values, dict):
            raise UserError(f'{path}: expected a JSON object such as {{"method": "family", "folds": 5, "seed": 1}}')
        return cls.from_values(values, str(path))

    def to_values(self) -> dict[str, Any]:
        """The keys that the method uses, as plain values."""
        keys = ("method", "apart", *METHODS[self.method], "patients_per_class")
        values = {key: getattr(self, key) for key in keys if getattr(self, key) is not None}
        if self.fractions is not None:
            values["fractions"] = list(self.fractions)
        return values

    def to_json(self) -> str:
        """The text of `specs/protocols/NAME.json`."""
        return canonical_json(self.to_values())


def _check(where: str, method: str, key: str, value: Any) -> None:
    """Refuse one value that is of the wrong type or out of its range."""
    match key:
        case "apart":
            good, expected = isinstance(value, str) and value in APART, ", ".join(APART)
        case "fractions":
            good, expected = _are_shares(value), "train, val and test, each above 0, together 1"
        case "folds":
            least = _LEAST_FOLDS[method]
            good = _is_whole(value, least)
            expected = f"at least {least}" + (": one tests, one validates, others train" if least > 1 else "")
        case "seed":
            good, expected = _is_whole(value, 0), "a whole number from 0"
        case "stratify":
            good, expected = isinstance(value, bool), "true or false"
        case "patients_per_class" | "tested_folds":
            good, expected = _is_whole(value, 1), "at least 1"
        case "path":
            good, expected = isinstance(value, str) and value != "", "the path of a csv"
        case _:
            return
    if not good:
        raise UserError(f"{where}: {key} {value!r}, expected {expected}")


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _are_shares(value: Any) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 3:
        return False
    if any(isinstance(share, bool) or not isinstance(share, int | float) for share in value):
        return False
    return min(value) > 0 and abs(sum(value) - 1) <= 1e-6
