"""Which slices train, validate and test: the protocols.

A split is a table with one line per slice and fold: slice, pid, family, label, fold, role. Shuffling is by
SHA-256 of seed and name, so that a split is the same on every machine and for every version of numpy.

    slice    by slice, stratified by class; slices of one patient stand on both sides (the paper's printed
             accuracies are k/306, which only this gives)
    family   folds by PID family: a person's repeat examinations stay together
    cvind    the folds published with the data set: patient by patient, but families are torn
    file     a csv with slice, fold, role, and anything else
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mmran.data.cheng import CLASS_NAMES
from mmran.errors import UserError

COLUMNS = ["slice", "pid", "family", "label", "fold", "role"]
ROLES = ("train", "val", "test")
METHODS = ("slice", "family", "cvind", "file")
APART = ("none", "pid", "family")
KEYS = ("method", "fractions", "folds", "seed", "apart", "path", "patients_per_class")

PROTOCOLS: dict[str, dict[str, Any]] = {
    "paper": {"method": "slice", "fractions": [0.8, 0.1, 0.1], "seed": 1029, "apart": "none"},
    "patient": {"method": "family", "folds": 5, "seed": 1029, "apart": "family"},
    "cvind": {"method": "cvind", "apart": "pid"},
}
"""The protocols a person can ask for by name."""


def make_split(
    index: pd.DataFrame, protocol: Mapping[str, Any], cvind: Mapping[int, int] | None = None
) -> pd.DataFrame:
    """Divide the slices of a store.

    Args:
        index: the store's index.
        protocol: `method` (one of METHODS); `fractions` of train, val, test for `slice`; `folds`, how many there
            are; `seed`; `apart` (one of APART: what must not stand on two sides); `path` for `file`;
            `patients_per_class`: keep only so many families of each class, except for `file`.
        cvind: published fold of each slice number, for `cvind`.

    Returns:
        One line per slice and fold, sorted by fold and slice, with COLUMNS.

    Raises:
        UserError: a key or value is unknown, a side stays empty, or `apart` is not kept.
    """
    method = _checked(protocol)
    seed = int(protocol.get("seed", 1029))
    if (n_families := protocol.get("patients_per_class")) is not None and method != "file":
        index = _first_families(index, int(n_families), seed)
    if method == "slice":
        split = _by_slice(index, protocol.get("fractions", (0.8, 0.1, 0.1)), seed)
    elif method == "family":
        n_folds = int(protocol.get("folds", 5))
        split = _rotated(index, _family_folds(index, n_folds, seed), n_folds)
    elif method == "cvind":
        split = _by_cvind(index, cvind or {})
    else:
        split = _from_file(index, Path(protocol["path"]))
    split = split[COLUMNS].sort_values(["fold", "slice"], ignore_index=True)
    n_folds = split["fold"].nunique()
    if n_folds != (expected := protocol.get("folds", n_folds)):
        raise UserError(f"protocol: folds {expected}, but method {method} gives {n_folds} here")
    _refuse_empty_sides(split)
    check_split(split, protocol.get("apart", "none"))
    return split


def _checked(protocol: Mapping[str, Any]) -> str:
    if unknown := sorted(set(protocol) - set(KEYS)):
        raise UserError(f"protocol: unknown key {unknown[0]}, expected {', '.join(KEYS)}")
    method = protocol.get("method")
    if method not in METHODS:
        raise UserError(f"protocol: method {method!r}, expected {', '.join(METHODS)}")
    if (apart := protocol.get("apart", "none")) not in APART:
        raise UserError(f"protocol: apart {apart!r}, expected {', '.join(APART)}")
    if method == "file" and not protocol.get("path"):
        raise UserError("protocol: method file needs path, a csv with the columns slice, fold, role")
    return str(method)


def _shuffled(names: Iterable[Any], seed: int) -> list[Any]:
    """The names in an order that depends on the seed and on nothing else."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())


def _family_labels(index: pd.DataFrame) -> pd.Series:
    """The class of each family, by the label most of its slices carry."""
    return index.groupby("family")["label"].agg(lambda labels: labels.mode().iloc[0])


def _first_families(index: pd.DataFrame, n_families: int, seed: int) -> pd.DataFrame:
    if n_families < 1:
        raise UserError(f"protocol: patients_per_class {n_families}, expected at least 1")
    kept: list[str] = []
    for _, labels in _family_labels(index).groupby(_family_labels(index)):
        kept += _shuffled(labels.index, seed)[:n_families]
    return index[index["family"].isin(kept)]


def _by_slice(index: pd.DataFrame, fractions: Iterable[float], seed: int) -> pd.DataFrame:
    shares = [float(share) for share in fractions]
    if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise UserError(f"protocol: fractions {shares}, expected train, val and test, each above 0, together 1")
    by_class = {label: _shuffled(group["slice"], seed) for label, group in index.groupby("label")}
    counts = {role: _portions(by_class, share) for role, share in zip(("val", "test"), shares[1:], strict=True)}
    role_of = {}
    for label, numbers in by_class.items():
        n_test, n_val = counts["test"][label], counts["val"][label]
        for i, number in enumerate(numbers):
            role_of[number] = "test" if i < n_test else "val" if i < n_test + n_val else "train"
    return index.assign(fold=0, role=index["slice"].map(role_of))


def _portions(by_class: Mapping[Any, list[Any]], share: float) -> dict[Any, int]:
    """How many slices of each class make up a share of all: rounded so that the total is right as well."""
    exact = {label: share * len(numbers) for label, numbers in by_class.items()}
    portions = {label: int(value) for label, value in exact.items()}
    missing = round(sum(exact.values())) - sum(portions.values())
    for label in sorted(exact, key=lambda label: portions[label] - exact[label])[:missing]:
        portions[label] += 1
    return portions


def _family_folds(index: pd.DataFrame, n_folds: int, seed: int) -> pd.Series:
    """(n,) fold of each slice: families of each class dealt out so that families and slices are balanced.

    In rounds from the largest family to the smallest, every fold gets one, the largest of a round going to the
    fold that has the fewest slices of the class.
    """
    if n_folds < 3:
        raise UserError(f"protocol: folds {n_folds}, expected at least 3: one tests, one validates, others train")
    sizes = index.groupby("family").size()
    n_slices = [0] * n_folds
    fold_of: dict[str, int] = {}
    labels = _family_labels(index)
    for label in sorted(labels.unique()):
        families = _shuffled(labels.index[labels == label], seed)
        families.sort(key=lambda family: -sizes[family])
        n_of_class = [0] * n_folds
        for start in range(0, len(families), n_folds):
            free = set(range(n_folds))
            for family in families[start : start + n_folds]:
                fold = min(free, key=lambda fold: (n_of_class[fold], n_slices[fold], fold))
                free.remove(fold)
                fold_of[family] = fold
                n_of_class[fold] += sizes[family]
                n_slices[fold] += sizes[family]
    return index["family"].map(fold_of)


def _rotated(index: pd.DataFrame, part: pd.Series, n_folds: int) -> pd.DataFrame:
    """In fold k, part k tests, the part after it validates, and the others train."""
    folds = []
    for fold in range(n_folds):
        role = part.map({fold: "test", (fold + 1) % n_folds: "val"}).fillna("train")
        folds.append(index.assign(fold=fold, role=role))
    return pd.concat(folds)


def _by_cvind(index: pd.DataFrame, cvind: Mapping[int, int]) -> pd.DataFrame:
    part = index["slice"].map(lambda number: cvind.get(number, 0))
    if (part == 0).any():
        raise UserError(
            f"protocol cvind: no published fold for {(part == 0).sum()} of {len(index)} slices; "
            "convert again with cvind.mat among the sources"
        )
    if part.max() < 3:
        raise UserError(f"protocol cvind: cvind.mat has {part.max()} folds, expected at least 3")
    return _rotated(index, part - 1, int(max(cvind.values())))


def _from_file(index: pd.DataFrame, path: Path) -> pd.DataFrame:
    given = _read_csv(path, ["slice", "fold", "role"])
    unknown = sorted(set(given["slice"]) - set(index["slice"]))
    if unknown:
        raise UserError(f"{path}: slice {unknown[0]} is not in the store ({len(unknown)} such slices)")
    return given[["slice", "fold", "role"]].merge(index[["slice", "pid", "family", "label"]], on="slice")


def _refuse_empty_sides(split: pd.DataFrame) -> None:
    for fold, group in split.groupby("fold"):
        for role in ROLES:
            if not (group["role"] == role).any():
                raise UserError(f"split: fold {fold} has no {role} slices; use more patients or fewer folds")


def check_split(split: pd.DataFrame, apart: str) -> None:
    """Refuse a split that has a patient or family on two sides of a fold.

    Args:
        split: the table.
        apart: "none", "pid" or "family".

    Raises:
        UserError: naming the family (or patient), the fold and the sides.
    """
    if apart == "none":
        return
    for (fold, name), group in split.groupby(["fold", apart]):
        roles = [role for role in ROLES if (group["role"] == role).any()]
        if len(roles) > 1:
            what = "family" if apart == "family" else "patient"
            pids = ", ".join(sorted(group["pid"].unique()))
            raise UserError(
                f"split: {what} {name} ({pids}) stands in {' and '.join(roles)} of fold {fold}, but the protocol "
                f"promises apart: {apart}; move its slices to one side, or set apart to none"
            )


def read_split(path: Path | str) -> pd.DataFrame:
    """Read a split's csv.

    Raises:
        UserError: absent, a column or value missing or wrong, or the folds do not list the same slices once.
    """
    split = _read_csv(Path(path), COLUMNS)
    if not split["label"].isin(range(1, len(CLASS_NAMES) + 1)).all():
        raise UserError(f"{path}: a label is none of 1, 2, 3")
    return split[COLUMNS].sort_values(["fold", "slice"], ignore_index=True)


def _read_csv(path: Path, columns: list[str]) -> pd.DataFrame:
    numbers = [name for name in columns if name in ("slice", "label", "fold")]
    try:
        split = pd.read_csv(path, dtype="str", keep_default_na=False)
        if missing := [name for name in columns if name not in split]:
            raise UserError(f"{path}: column {missing[0]} is missing, expected {', '.join(columns)}")
        split[numbers] = split[numbers].astype("int64")
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such split; make it with mmran split") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise UserError(f"{path}: is not a split, {', '.join(numbers)} must be whole numbers ({error})") from error
    if split.empty:
        raise UserError(f"{path}: lists no slices")
    if not split["role"].isin(ROLES).all():
        wrong = split.loc[~split["role"].isin(ROLES), "role"].iloc[0]
        raise UserError(f"{path}: role {wrong!r}, expected {', '.join(ROLES)}")
    _refuse_uneven_folds(path, split)
    return split


def _refuse_uneven_folds(path: Path, split: pd.DataFrame) -> None:
    twice = split[split.duplicated(["fold", "slice"])]
    if not twice.empty:
        raise UserError(f"{path}: fold {twice['fold'].iloc[0]} lists slice {twice['slice'].iloc[0]} twice")
    folds = sorted(split["fold"].unique().tolist())
    if folds != list(range(len(folds))):
        raise UserError(f"{path}: folds are {folds}, expected 0, 1, 2, ... without a gap")
    everywhere = set(split["slice"])
    for fold, group in split.groupby("fold"):
        if absent := sorted(everywhere - set(group["slice"])):
            raise UserError(f"{path}: fold {fold} does not list slice {absent[0]}, which another fold lists")


def split_report(split: pd.DataFrame) -> dict[str, Any]:
    """Count a split, and how far its test slices are known from training.

    Returns:
        `folds`: per fold and role the slices, by class, patients and families; `shared` families and patients on
        two sides; `siblings`: share (0 to 1) of the test slices that have a slice of the same patient, or
        family, in training.
    """
    folds: list[dict[str, Any]] = []
    known = {"same_pid": 0, "same_family": 0}
    for fold in split["fold"].unique():
        group = split[split["fold"] == fold]
        n_known = {f"same_{level}": _n_known(group, level) for level in ("pid", "family")}
        roles = {role: _counts(group[group["role"] == role]) for role in ROLES}
        siblings = {key: n / max(roles["test"]["slices"], 1) for key, n in n_known.items()}
        folds.append({"fold": int(fold), **roles, "siblings": siblings})
        known = {key: n + n_known[key] for key, n in known.items()}
    n_tests = max(int((split["role"] == "test").sum()), 1)
    return {
        "slices": int(split["slice"].nunique()),
        "patients": int(split["pid"].nunique()),
        "families": int(split["family"].nunique()),
        "patients_on_two_sides": _torn(split, "pid"),
        "families_on_two_sides": _torn(split, "family"),
        "siblings": {key: n / n_tests for key, n in known.items()},
        "folds": folds,
    }


def _counts(part: pd.DataFrame) -> dict[str, Any]:
    return {
        "slices": len(part),
        "classes": {name: int((part["label"] == i).sum()) for i, name in enumerate(CLASS_NAMES, start=1)},
        "patients": int(part["pid"].nunique()),
        "families": int(part["family"].nunique()),
    }


def _n_known(fold: pd.DataFrame, level: str) -> int:
    """Test slices whose patient or family is in training too."""
    tests = fold[fold["role"] == "test"]
    return int(tests[level].isin(fold.loc[fold["role"] == "train", level]).sum())


def _torn(split: pd.DataFrame, level: str) -> list[str]:
    """Patients or families that stand on two sides in some fold."""
    sides = split.groupby(["fold", level])["role"].nunique()
    return sorted({str(name) for _, name in sides[sides > 1].index})
