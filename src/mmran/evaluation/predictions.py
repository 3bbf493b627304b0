"""predictions.h5: what a network predicts for every test slice, between the stages `predict` and `evaluate`.

One group per native size, named "{H}x{W}", holds `probability` (n, H, W) uint8 = min(255, floor(256 p)), so that
p >= .5 exactly where the byte is >= 128. A network without segmentation has no groups. The root datasets hold one
entry per case, which is a test slice under one trial: `slice`, `seed`, `fold`, `group`, `row`, `mask_sha256` (N, 32),
and of a classifier `class_probability` (N, K). Root attributes: `format`, `experiment`, `protocol`, `digests` (JSON),
`classes` (JSON; absent for those of the published set) and `content`, the SHA-256 of everything else. Opening a file
checks `content`, and reading a mask checks its digest, so damage on the disk never becomes a number.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmran.data.classes import read_classes
from mmran.errors import UserError

FORMAT = 2
TUMOR_BYTE = 128
"""The smallest byte that means tumor: a probability of one half."""
DIGESTS = ("spec", "data", "split")
REMEDY = "run `mmran predict` again"

_CLASS_PREFIX = "p_"


def class_columns(classes: Iterable[str]) -> tuple[str, ...]:
    """Columns of the class probabilities, in the order of the classes."""
    return tuple(f"{_CLASS_PREFIX}{name}" for name in classes)


def classes_of(columns: Iterable[Any]) -> tuple[str, ...]:
    """The classes that columns, or a table's columns, have probabilities of, in their order."""
    return tuple(name.removeprefix(_CLASS_PREFIX) for name in map(str, columns) if name.startswith(_CLASS_PREFIX))


def probability_bytes(probability: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Store probabilities 0..1 as min(255, floor(256 p)).

    Raises:
        ValueError: a probability is outside 0..1 or NaN.
    """
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("a tumor probability is outside 0..1 or NaN")
    # Multiplying by a power of two is exact in every float type, so no rounding crosses one half.
    return np.minimum(np.floor(probability * 256), 255).astype(np.uint8)


def bytes_probability(stored: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn stored bytes b into probabilities b / 255: 0 and 1 come back exactly, others within 1/255."""
    return stored.astype(np.float32) * np.float32(1 / 255)


def mask_sha256(stored: NDArray[np.uint8] | None) -> bytes:
    """SHA-256 of a stored mask; zeros where the network predicts none."""
    return bytes(32) if stored is None else hashlib.sha256(np.ascontiguousarray(stored).data).digest()


def content_digest(file: h5py.File) -> str:
    """SHA-256 of a file's attributes and entries, and of the digests of its masks."""
    digest = hashlib.sha256()
    attributes: Sequence[str] = ("experiment", "protocol", "digests", *(["classes"] if "classes" in file.attrs else []))
    facts = [str(file.attrs[name]) for name in attributes] + file["group"].asstr()[:].tolist()
    digest.update(json.dumps(facts).encode())
    for name in ("slice", "seed", "fold", "row", "mask_sha256", "class_probability"):
        if name in file:
            values = file[name][:]
            digest.update(f"{name}{values.dtype.str}{values.shape}".encode())
            digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


class Predictions:
    """An open predictions.h5; a context manager.

    Attributes:
        experiment: name of the experiment.
        protocol: name of the split protocol.
        digests: digests of spec, data and split.
        content: SHA-256 of what the file holds.
        classes: names of the data set's classes.
        cases: one row per case with columns slice, seed, fold, group, row and, of a classifier, p_CLASS for each
            class; sorted by seed, fold, slice.
        segments: whether the cases have masks.
        classifies: whether the cases have classes.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._file = _open(self.path)
        self._datasets: dict[str, h5py.Dataset] = {}  # looking one up by name takes longer than reading a slice
        try:
            self._read_entries()
        except (LookupError, ValueError, TypeError, AttributeError, OSError, RuntimeError) as error:
            self._file.close()
            raise self._damaged(str(error)) from error
        except UserError:
            self._file.close()
            raise

    def _read_entries(self) -> None:
        file = self._file
        self.content = str(file.attrs["content"])
        if content_digest(file) != self.content:
            raise ValueError("their content does not have the recorded digest")
        self.experiment = str(file.attrs["experiment"])
        self.protocol = str(file.attrs["protocol"])
        self.digests: dict[str, str] = json.loads(file.attrs["digests"])
        if set(self.digests) != set(DIGESTS):
            raise ValueError(f"digests are {sorted(self.digests)}, expected {sorted(DIGESTS)}")
        self.classes = read_classes(file.attrs)
        columns: dict[str, Any] = {name: file[name][:].astype(np.int64) for name in ("slice", "seed", "fold", "row")}
        columns["group"] = file["group"].asstr()[:]
        places = zip(columns["group"], columns["row"].tolist(), strict=True)
        self._mask_sha256 = dict(zip(places, map(bytes, file["mask_sha256"][:]), strict=True))
        self.classifies = "class_probability" in file
        if self.classifies:
            classes = file["class_probability"][:]
            if not ((classes >= 0) & (classes <= 1)).all():
                raise ValueError("a class probability is outside 0..1 or NaN")
            columns |= dict(zip(class_columns(self.classes), classes.T, strict=True))
        cases = pd.DataFrame(columns).sort_values(["seed", "fold", "slice"], ignore_index=True)
        if cases.empty:
            raise UserError(f"{self.path}: no case in it; check that the split has test slices, then {REMEDY}")
        twice = cases[cases.duplicated(["seed", "slice"])]
        if len(twice):
            number, seed = twice.iloc[0][["slice", "seed"]]
            raise UserError(
                f"{self.path}: slice {number} of seed {seed} was tested twice, expected once per seed; "
                f"make the test folds of the split disjoint and {REMEDY}"
            )
        self.cases = cases
        self.segments = bool((cases["group"] != "").any())

    def _damaged(self, reason: str) -> UserError:
        return UserError(f"{self.path}: damaged predictions ({reason}); {REMEDY}")

    def stored_probability(self, group: str, row: int) -> NDArray[np.uint8]:
        """Read the (H, W) uint8 tumor probability of a case, as stored: tumor where it is >= `TUMOR_BYTE`.

        Args:
            group: the case's group, from `cases`.
            row: the case's row, from `cases`.

        Raises:
            UserError: the file is damaged.
        """
        try:
            if group not in self._datasets:
                self._datasets[group] = self._file[group]["probability"]
            stored: NDArray[np.uint8] = self._datasets[group][row]
            expected = self._mask_sha256[group, row]
        except (LookupError, ValueError, OSError, RuntimeError) as error:
            raise self._damaged(f"row {row} of group {group}: {error}") from error
        if mask_sha256(stored) != expected:
            raise self._damaged(f"row {row} of group {group} does not have the recorded digest")
        return stored

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "Predictions":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_predictions(path: Path | str) -> Predictions:
    """Open a predictions.h5 for reading: `with read_predictions(path) as predictions:`.

    Raises:
        UserError: it is absent, foreign, truncated or damaged, holds no case, or tests a slice twice under one
            seed.
    """
    return Predictions(path)


def _open(path: Path) -> h5py.File:
    if not path.is_file():
        raise UserError(f"{path}: no such file; {REMEDY}")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise UserError(f"{path}: not a whole HDF5 file ({error}); {REMEDY}") from error
    try:
        known = file.attrs.get("format") == FORMAT and "slice" in file
    except (OSError, ValueError, RuntimeError):  # damaged metadata
        known = False
    if not known:
        file.close()
        raise UserError(f"{path}: not a predictions file of format {FORMAT}; {REMEDY}")
    return file
