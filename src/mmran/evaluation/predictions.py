"""predictions.h5: what a network predicts for every test slice, between the stages `predict` and `evaluate`.

One group per native size, named "{H}x{W}", holds `probability` (n, H, W) uint8 = min(255, floor(256 p)), so that
p >= .5 exactly where the byte is >= 128. A network without segmentation has no groups. The root datasets hold one
entry per case, which is a test slice under one trial: `slice`, `seed`, `fold`, `group`, `row`, `mask_sha256` (N, 32),
and of a classifier `class_probability` (N, 3). Root attributes: `format`, `experiment`, `protocol`, `digests` (JSON)
and `content`, the SHA-256 of everything else. Opening a file checks `content`, and reading a mask checks its digest,
so damage on the disk never becomes a number.
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmran.data.cheng import CLASS_NAMES
from mmran.errors import UserError
from mmran.files import atomic_path

FORMAT = 2
TUMOR_BYTE = 128
"""The smallest byte that means tumor: a probability of one half."""
DIGESTS = ("spec", "data", "split")
CLASS_COLUMNS = tuple(f"p_{name}" for name in CLASS_NAMES)
REMEDY = "run `mmran predict` again"


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


class _Entry(NamedTuple):
    """One case in the file; `group` is empty where the network predicts no mask."""

    slice: int
    seed: int
    fold: int
    group: str
    row: int
    mask_sha256: bytes
    classes: NDArray[np.float32] | None


class PredictionWriter:
    """Writes predictions.h5 case by case; the file appears whole when the block ends, or not at all.

    Leaving the block raises UserError where the folder cannot be written or the disk is full.

    Example:
        with PredictionWriter(path, "mmran", "paper", digests) as writer:
            writer.add(17, seed=1029, fold=0, probability=probability, class_probability=classes)
    """

    def __init__(self, path: Path | str, experiment: str, protocol: str, digests: Mapping[str, str]) -> None:
        """Prepare a writer; nothing is written before the block ends.

        Args:
            path: the final predictions.h5.
            experiment: name of the experiment.
            protocol: name of the split protocol.
            digests: SHA-256 of `spec`, `data` and `split`.
        """
        if set(digests) != set(DIGESTS):
            raise ValueError(f"digests are {sorted(digests)}, expected {sorted(DIGESTS)}")
        self.path = Path(path)
        self._attributes = {
            "experiment": experiment,
            "protocol": protocol,
            "digests": json.dumps(dict(digests), sort_keys=True),
        }
        self._entries: list[_Entry] = []
        self._keys: set[tuple[int, int, int]] = set()
        # HDF5 writes to memory, a few kilobytes per slice. On a full disk it leaves a file that it cannot close; one
        # write of the finished bytes fails with an ordinary error instead.
        self._memory = io.BytesIO()
        self._file = h5py.File(self._memory, "w")

    def __enter__(self) -> "PredictionWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if error is None:
                self._write_entries()
        if error is None:
            with atomic_path(self.path) as temporary:
                temporary.write_bytes(self._memory.getbuffer())

    def add(
        self,
        slice: int,
        seed: int,
        fold: int,
        probability: NDArray[np.floating] | None,
        class_probability: NDArray[np.floating] | None,
    ) -> None:
        """Add one case.

        Args:
            slice: number of the slice in the data set.
            seed: the trial's seed.
            fold: the trial's fold.
            probability: (H, W) float tumor probability at native size, or None for a network without
                segmentation.
            class_probability: (3,) float, meningioma, glioma, pituitary, or None for one without
                classification.

        Raises:
            ValueError: the case was added before, differs in its tasks from the earlier ones, or holds values
                that are no probabilities.
        """
        key = (int(slice), int(seed), int(fold))
        if key in self._keys:
            raise ValueError(f"slice {slice} of seed {seed}, fold {fold} was added twice")
        tasks = (probability is not None, class_probability is not None)
        if tasks == (False, False):
            raise ValueError(f"slice {slice} has neither a mask nor a class")
        if self._entries and tasks != (self._entries[0].group != "", self._entries[0].classes is not None):
            raise ValueError(f"slice {slice} is predicted for other tasks than the slices before it")
        classes = None if class_probability is None else _checked_classes(class_probability, slice)
        stored = None if probability is None else probability_bytes(probability)
        group, row = ("", 0) if stored is None else self._add_mask(stored)
        self._keys.add(key)
        self._entries.append(_Entry(*key, group, row, _mask_sha256(stored), classes))

    def _add_mask(self, stored: NDArray[np.uint8]) -> tuple[str, int]:
        height, width = stored.shape
        group = f"{height}x{width}"
        if group not in self._file:
            self._file.create_dataset(
                f"{group}/probability",
                shape=(0, height, width),
                maxshape=(None, height, width),
                chunks=(1, height, width),
                dtype=np.uint8,
                compression="gzip",
                compression_opts=1,  # half the time of h5py's default for an eighth more bytes
                fletcher32=True,
            )
        dataset = self._file[group]["probability"]
        row = dataset.shape[0]
        dataset.resize(row + 1, axis=0)
        dataset[row] = stored
        return group, row

    def _write_entries(self) -> None:
        entries = self._entries
        for name in ("slice", "seed", "fold", "row"):
            values = [getattr(entry, name) for entry in entries]
            self._file.create_dataset(name, data=np.array(values, dtype=np.int32))
        groups = [entry.group for entry in entries]
        self._file.create_dataset("group", data=groups, shape=(len(groups),), dtype=h5py.string_dtype())
        digests = np.frombuffer(b"".join(entry.mask_sha256 for entry in entries), dtype=np.uint8)
        self._file.create_dataset("mask_sha256", data=digests.reshape(-1, 32))
        classes = [entry.classes for entry in entries if entry.classes is not None]
        if classes:
            self._file.create_dataset("class_probability", data=np.stack(classes))
        self._file.attrs.update({"format": FORMAT, **self._attributes})
        self._file.attrs["content"] = _content_digest(self._file)


def _mask_sha256(stored: NDArray[np.uint8] | None) -> bytes:
    """SHA-256 of a stored mask; zeros where the network predicts none."""
    return bytes(32) if stored is None else hashlib.sha256(np.ascontiguousarray(stored).data).digest()


def _content_digest(file: h5py.File) -> str:
    """SHA-256 of a file's attributes and entries, and by their digests of its masks."""
    digest = hashlib.sha256()
    attributes: Sequence[str] = ("experiment", "protocol", "digests")
    facts = [str(file.attrs[name]) for name in attributes] + file["group"].asstr()[:].tolist()
    digest.update(json.dumps(facts).encode())
    for name in ("slice", "seed", "fold", "row", "mask_sha256", "class_probability"):
        if name in file:
            values = file[name][:]
            digest.update(f"{name}{values.dtype.str}{values.shape}".encode())
            digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _checked_classes(class_probability: NDArray[np.floating], number: int) -> NDArray[np.float32]:
    values = np.asarray(class_probability, dtype=np.float32)
    if values.shape != (len(CLASS_COLUMNS),):
        raise ValueError(f"slice {number}: class_probability has shape {values.shape}, expected (3,)")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"slice {number}: a class probability is outside 0..1 or NaN")
    return values


class Predictions:
    """An open predictions.h5; a context manager.

    Attributes:
        experiment: name of the experiment.
        protocol: name of the split protocol.
        digests: digests of spec, data and split.
        content: SHA-256 of what the file holds.
        cases: one row per case with columns slice, seed, fold, group, row and, of a classifier, p_meningioma,
            p_glioma, p_pituitary; sorted by seed, fold, slice.
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
        if _content_digest(file) != self.content:
            raise ValueError("their content does not have the recorded digest")
        self.experiment = str(file.attrs["experiment"])
        self.protocol = str(file.attrs["protocol"])
        self.digests: dict[str, str] = json.loads(file.attrs["digests"])
        if set(self.digests) != set(DIGESTS):
            raise ValueError(f"digests are {sorted(self.digests)}, expected {sorted(DIGESTS)}")
        columns: dict[str, Any] = {name: file[name][:].astype(np.int64) for name in ("slice", "seed", "fold", "row")}
        columns["group"] = file["group"].asstr()[:]
        places = zip(columns["group"], columns["row"].tolist(), strict=True)
        self._mask_sha256 = dict(zip(places, map(bytes, file["mask_sha256"][:]), strict=True))
        self.classifies = "class_probability" in file
        if self.classifies:
            classes = file["class_probability"][:]
            if not ((classes >= 0) & (classes <= 1)).all():
                raise ValueError("a class probability is outside 0..1 or NaN")
            columns |= dict(zip(CLASS_COLUMNS, classes.T, strict=True))
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
        if _mask_sha256(stored) != expected:
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
