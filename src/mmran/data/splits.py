"""Which slices train, validate and test.

A split is a table with one row per slice and fold: slice, pid, family, label, fold, role. It orders names by
the SHA-256 of seed and name, so a split is the same on every machine and with every version of numpy.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mmran.data.protocol import Protocol
from mmran.errors import UserError

COLUMNS = ["slice", "pid", "family", "label", "fold", "role"]
ROLES = ("train", "val", "test")

_QUICK_LOOK_SEED = 1029
"""Chooses the patients of `patients_per_class`: the same ones under every protocol, whatever its seed."""


def make_split(index: pd.DataFrame, protocol: Protocol, cvind: Mapping[int, int] | None = None) -> pd.DataFrame:
    """Divide the slices of a store.

    Args:
        index: the store's index.
        protocol: how to divide them.
        cvind: published fold, counted from one, of each slice number; for the method `cvind`.

    Returns:
        One row per slice and fold, sorted by fold and slice, with COLUMNS.

    Raises:
        UserError: a role is empty, the number of folds is not as promised, or `apart` is broken.
    """
    if protocol.patients_per_class is not None:
        index = _first_families(index, protocol.patients_per_class)
    match protocol.method:
        case "slice":
            split = _by_slice(index, protocol)
        case "family":
            folds = _family_folds(index, protocol)
            split = _rotated(index, folds, int(protocol.folds or 0))
            split = split[split["fold"] < (protocol.tested_folds or protocol.folds)]
        case "cvind":
            split = _by_cvind(index, cvind or {})
        case _:
            split = _from_file(index, Path(str(protocol.path)))
    split = split[COLUMNS].sort_values(["fold", "slice"], ignore_index=True)
    n_folds = split["fold"].nunique()
    if (protocol.tested_folds or protocol.folds) not in (None, n_folds):
        raise UserError(f"protocol: folds {protocol.folds}, but method {protocol.method} gives {n_folds} here")
    _refuse_empty_roles(split)
    check_split(split, protocol.apart)
    return split


def _shuffled(names: Iterable[Any], seed: int) -> list[Any]:
    """The names in an order that depends only on the seed and the names."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())


def _family_labels(index: pd.DataFrame) -> pd.Series:
    """The class of each family: the label of most of its slices."""
    return index.groupby("family")["label"].agg(lambda labels: labels.mode().iloc[0])


def _first_families(index: pd.DataFrame, n_families: int) -> pd.DataFrame:
    kept: list[str] = []
    labels = _family_labels(index)
    for _, of_class in labels.groupby(labels):
        kept += _shuffled(of_class.index, _QUICK_LOOK_SEED)[:n_families]
    return index[index["family"].isin(kept)]


def _by_slice(index: pd.DataFrame, protocol: Protocol) -> pd.DataFrame:
    assert protocol.fractions is not None
    assert protocol.seed is not None
    # Without stratification all slices form one stratum.
    strata = index["label"] if protocol.stratify else pd.Series(0, index=index.index)
    order = {stratum: _shuffled(group["slice"], protocol.seed) for stratum, group in index.groupby(strata)}
    n_val, n_test = (_portions(order, share) for share in protocol.fractions[1:])
    role_of = {}
    for stratum, numbers in order.items():
        n_tests, n_held_out = n_test[stratum], n_test[stratum] + n_val[stratum]
        for i, number in enumerate(numbers):
            role_of[number] = "test" if i < n_tests else "val" if i < n_held_out else "train"
    return index.assign(fold=0, role=index["slice"].map(role_of))


def _portions(strata: Mapping[Any, list[Any]], share: float) -> dict[Any, int]:
    """Number of slices of each stratum that make up a share of all, rounded so that the total is right."""
    exact = {stratum: share * len(numbers) for stratum, numbers in strata.items()}
    portions = {stratum: int(value) for stratum, value in exact.items()}
    missing = round(sum(exact.values())) - sum(portions.values())
    for stratum in sorted(exact, key=lambda stratum: portions[stratum] - exact[stratum])[:missing]:
        portions[stratum] += 1
    return portions


def _family_folds(index: pd.DataFrame, protocol: Protocol) -> pd.Series:
    """(n,) fold of each slice: deals out the families of each class, balancing families and slices.

    Families are dealt in rounds, from the largest to the smallest. Each round gives every fold one family, and
    the larger ones go to the folds with the fewest slices of the class.
    """
    assert protocol.folds is not None
    assert protocol.seed is not None
    sizes = index.groupby("family").size()
    n_slices = [0] * protocol.folds
    fold_of: dict[str, int] = {}
    strata = _family_labels(index) if protocol.stratify else pd.Series(0, index=sizes.index)
    for stratum in sorted(strata.unique()):
        families = _shuffled(strata.index[strata == stratum], protocol.seed)
        families.sort(key=lambda family: -sizes[family])
        n_of_class = [0] * protocol.folds
        for start in range(0, len(families), protocol.folds):
            free = set(range(protocol.folds))
            for family in families[start : start + protocol.folds]:
                fold = min(free, key=lambda fold: (n_of_class[fold], n_slices[fold], fold))
                free.remove(fold)
                fold_of[family] = fold
                n_of_class[fold] += sizes[family]
                n_slices[fold] += sizes[family]
    return index["family"].map(fold_of)


def _rotated(index: pd.DataFrame, part: pd.Series, n_folds: int) -> pd.DataFrame:
    """In fold k, part k tests, the next part validates, and the others train."""
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


def _refuse_empty_roles(split: pd.DataFrame) -> None:
    for fold, group in split.groupby("fold"):
        for role in ROLES:
            if not (group["role"] == role).any():
                raise UserError(f"split: fold {fold} has no {role} slices; use more patients or fewer folds")


def check_split(split: pd.DataFrame, apart: str) -> None:
    """Refuse a split that has a patient or family in two roles of a fold.

    Args:
        split: the table.
        apart: "none", "pid" or "family".

    Raises:
        UserError: naming the patient or family, the fold and the roles.
    """
    if apart == "none":
        return
    for (fold, name), group in split.groupby(["fold", apart]):
        roles = [role for role in ROLES if (group["role"] == role).any()]
        if len(roles) > 1:
            what = "family" if apart == "family" else "patient"
            pids = ", ".join(sorted(group["pid"].unique()))
            raise UserError(
                f"split: {what} {name} ({pids}) is in {' and '.join(roles)} of fold {fold}, but the protocol "
                f"promises apart: {apart}; move its slices to one role, or set apart to none"
            )


def read_split(path: Path | str) -> pd.DataFrame:
    """Read a split's csv.

    Raises:
        UserError: absent, a column or value missing or wrong, or the folds do not list the same slices once.
    """
    split = _read_csv(Path(path), COLUMNS)
    if (split["label"] < 1).any():
        raise UserError(f"{path}: label {split['label'].min()}, expected numbers of classes, from 1")
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
