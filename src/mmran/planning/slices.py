"""How many slices a protocol trains, validates and tests on: of files that are there, otherwise worked out."""

from dataclasses import dataclass
from pathlib import Path

from mmran.config.configuration import Config
from mmran.data.cheng import CLASS_NAMES
from mmran.errors import UserError

PUBLISHED_SLICES, PUBLISHED_PATIENTS = 3064, 233
_FOLDS = {"slice": 1, "family": 5, "cvind": 5}
"""Of a protocol that does not say how many it has."""


@dataclass(frozen=True)
class Slices:
    """How many slices train, validate and test in one fold, how many folds there are, and who says so."""

    train: int
    val: int
    test: int
    folds: int
    source: str


def count_slices(config: Config, protocol: str) -> Slices:
    """Slices of a protocol: of its csv where it is made already, otherwise worked out.

    Raises:
        UserError: the protocol is a csv of the user's own that cannot be read.
    """
    values = config.protocol(protocol)
    path = config.results / "splits" / f"{protocol}.csv"
    if path.is_file():
        return _listed(path)
    if values["method"] == "file":
        return _listed(Path(values.get("path", "")))
    n, patients, source = stored_slices(config)
    if per_class := values.get("patients_per_class"):
        n = round(n * min(1.0, len(CLASS_NAMES) * per_class / patients))
    folds = int(values.get("folds", _FOLDS[values["method"]]))
    if values["method"] == "slice":
        shares = [float(share) for share in values.get("fractions", (0.8, 0.1, 0.1))]
    else:
        # One part tests, one validates, the others train.
        shares = [1 - 2 / folds, 1 / folds, 1 / folds]
    train, val, test = (round(n * share) for share in shares)
    return Slices(train, val, test, folds, source)


def _listed(path: Path) -> Slices:
    import pandas as pd

    try:
        rows = pd.read_csv(path, usecols=["fold", "role"])
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: no split that can be read ({error}); expected a csv with columns slice, fold, role"
        ) from error
    folds = max(1, rows["fold"].nunique())
    train, val, test = (round((rows["role"] == role).sum() / folds) for role in ("train", "val", "test"))
    return Slices(train, val, test, folds, str(path))


def stored_slices(config: Config) -> tuple[int, int, str]:
    """Slices and patients of the store, and who says so: its index, the phantom or the published data set."""
    index = config.results / "data" / "index.csv"
    if index.is_file():
        import pandas as pd

        rows = pd.read_csv(index, usecols=["family"])
        return len(rows), rows["family"].nunique(), str(index)
    if config.source is None:
        from mmran.data.phantom.patients import patient

        phantom = config.values["data"]["phantom"]
        n = sum(patient(phantom["seed"], k).n_slices for k in range(phantom["patients"]))
        return n, phantom["patients"], "the phantom"
    return PUBLISHED_SLICES, PUBLISHED_PATIENTS, "the published data set"
