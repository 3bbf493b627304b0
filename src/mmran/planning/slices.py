"""How many slices a protocol trains, validates and tests on: read from files, or derived before they exist."""

from dataclasses import dataclass
from pathlib import Path

from mmran.config.configuration import Config
from mmran.data import published
from mmran.data.tables import read_tables, table_of
from mmran.errors import UserError


@dataclass(frozen=True)
class Slices:
    """Number of slices that train, validate and test in one fold, number of folds, and the source of the numbers."""

    train: int
    val: int
    test: int
    folds: int
    source: str


def count_slices(config: Config, protocol: str) -> Slices:
    """Slices of a protocol: counted in its csv if it exists, otherwise derived from the size of the data set.

    Raises:
        UserError: the protocol is a csv of the user that cannot be read.
    """
    found = config.protocol(protocol)
    path = config.results / "splits" / f"{protocol}.csv"
    if path.is_file():
        return _listed(path)
    if found.path is not None:
        return _listed(Path(found.path))
    n, patients, source = stored_slices(config)
    if found.patients_per_class is not None:
        n = round(n * min(1.0, max(1, len(config.classes)) * found.patients_per_class / patients))
    if found.fractions is not None:
        folds, shares = 1, found.fractions
    else:
        # One part tests, one validates, the others train.
        folds = found.folds or published.N_FOLDS
        shares = (1 - 2 / folds, 1 / folds, 1 / folds)
    train, val, test = (round(n * share) for share in shares)
    return Slices(train, val, test, found.tested_folds or folds, source)


def _listed(path: Path) -> Slices:
    import pandas as pd

    try:
        rows = pd.read_csv(path, usecols=["fold", "role"])
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: not a readable split ({error}); expected a csv with columns slice, fold, role"
        ) from error
    folds = max(1, rows["fold"].nunique())
    train, val, test = (round((rows["role"] == role).sum() / folds) for role in ("train", "val", "test"))
    return Slices(train, val, test, folds, str(path))


def stored_slices(config: Config) -> tuple[int, int, str]:
    """Number of slices and families, and their source: the store's index, the phantom, a table, or the published set.

    A volume in a table counts as one slice until it is converted.
    """
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
    if tables := [table for table in map(table_of, config.source) if table is not None and table.is_file()]:
        lines = read_tables(tables, config.classes, config.tasks, config.channels).rows
        return len(lines), len({line.family for line in lines}), ", ".join(map(str, tables))
    return published.COUNTS["slices"], published.COUNTS["patients"], "the published data set"
