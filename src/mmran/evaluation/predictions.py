"""predictions.h5: what a network said about every test slice, between the stages `predict` and `evaluate`.

One group per native size, named "{H}x{W}", holds `probability` (n, H, W) uint8 = min(255, floor(256 p)), so
that p >= .5 exactly where the byte is >= 128. A network without segmentation has no groups. One entry per
case (a test slice under one trial) in the root datasets `slice`, `seed`, `fold`, `group`, `row` and
`class_probability` (N, 3); a network without classification lacks the last. Root attributes: `format`,
`experiment`, `protocol`, `digests` (JSON).
"""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmran.data.cheng import CLASS_NAMES
from mmran.errors import UserError
from mmran.files import atomic_path

FORMAT = 1
TUMOR_BYTE = 128
"""The smallest stored byte that means tumor: a probability of one half."""
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
    # Times a power of two is exact in every float type: no rounding moves a probability across one half.
    return np.minimum(np.floor(probability * 256), 255).astype(np.uint8)


def bytes_probability(stored: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities of stored bytes, b / 255: 0 and 1 come back exactly, everything else within 1/255."""
    return stored.astype(np.float32) * np.float32(1 / 255)


class PredictionWriter:
    """Writes predictions.h5 case by case; the file appears whole when the block ends, or not at all.

    Leaving the block raises UserError where the folder cannot be written or the disk is full.

    Example:
        with PredictionWriter(path, "mmran", "paper", digests) as writer:
            writer.add(17, seed=1029, fold=0, probability=probability, class_probability=classes)
    """

    def __init__(self, path: Path | str, experiment: str, protocol: str, digests: Mapping[str, str]) -> None:
        """Prepare a writer; the disk is touched when the block has ended.

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
            "format": FORMAT,
            "experiment": experiment,
            "protocol": protocol,
            "digests": json.dumps(dict(digests), sort_keys=True),
        }
        self._keys: dict[tuple[int, int, int], tuple[str, int]] = {}
        self._classes: list[NDArray[np.float32]] = []
        self._n_masks = 0
        # HDF5 writes to memory, a few kilobytes a slice: a full disk is then an ordinary error of one ordinary
        # write, where HDF5 would be left with a file that it cannot close.
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
            ValueError: the case was added before, differs in its tasks from the earlier ones, or has values
                that are no probabilities.
        """
        key = (int(seed), int(fold), int(slice))
        if key in self._keys:
            raise ValueError(f"slice {slice} of seed {seed}, fold {fold} was added twice")
        tasks = (probability is not None, class_probability is not None)
        if tasks == (False, False):
            raise ValueError(f"slice {slice} has neither a mask nor a class")
        if self._keys and tasks != (self._n_masks > 0, len(self._classes) > 0):
            raise ValueError(f"slice {slice} is predicted for other tasks than the slices before it")
        if class_probability is not None:
            self._classes.append(_checked_classes(class_probability, slice))
        self._keys[key] = ("", 0) if probability is None else self._add_mask(probability)

    def _add_mask(self, probability: NDArray[np.floating]) -> tuple[str, int]:
        height, width = probability.shape
        group, stored = f"{height}x{width}", probability_bytes(probability)
        if group not in self._file:
            self._file.create_dataset(
                f"{group}/probability",
                shape=(0, height, width),
                maxshape=(None, height, width),
                chunks=(1, height, width),
                dtype=np.uint8,
                compression="gzip",
                compression_opts=1,  # half the time of h5py's own choice for an eighth more bytes
            )
        dataset = self._file[group]["probability"]
        row = dataset.shape[0]
        dataset.resize(row + 1, axis=0)
        dataset[row] = stored
        self._n_masks += 1
        return group, row

    def _write_entries(self) -> None:
        seeds, folds, slices = zip(*self._keys, strict=True) if self._keys else ((), (), ())
        groups, rows = zip(*self._keys.values(), strict=True) if self._keys else ((), ())
        for name, values in (("slice", slices), ("seed", seeds), ("fold", folds), ("row", rows)):
            self._file.create_dataset(name, data=np.array(values, dtype=np.int32))
        text = h5py.string_dtype()
        self._file.create_dataset("group", data=list(groups), shape=(len(groups),), dtype=text)
        if self._classes:
            self._file.create_dataset("class_probability", data=np.stack(self._classes))
        self._file.attrs.update(self._attributes)


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
        except (KeyError, ValueError, TypeError, AttributeError, OSError) as error:
            self._file.close()
            raise UserError(f"{path}: damaged predictions ({error}); {REMEDY}") from error
        except UserError:
            self._file.close()
            raise

    def _read_entries(self) -> None:
        attributes = self._file.attrs
        self.experiment = str(attributes["experiment"])
        self.protocol = str(attributes["protocol"])
        self.digests: dict[str, str] = json.loads(attributes["digests"])
        if set(self.digests) != set(DIGESTS):
            raise ValueError(f"digests are {sorted(self.digests)}, expected {sorted(DIGESTS)}")
        columns: dict[str, Any] = {name: self._file[name][:].astype(np.int64) for name in ("slice", "seed", "fold")}
        columns["group"] = self._file["group"].asstr()[:]
        columns["row"] = self._file["row"][:].astype(np.int64)
        self.classifies = "class_probability" in self._file
        if self.classifies:
            columns |= dict(zip(CLASS_COLUMNS, self._file["class_probability"][:].T, strict=True))
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

    def stored_probability(self, group: str, row: int) -> NDArray[np.uint8]:
        """(H, W) uint8 tumor probability of a case, as stored: tumor where it is >= `TUMOR_BYTE`.

        Args:
            group: the case's group, from `cases`.
            row: the case's row, from `cases`.

        Raises:
            UserError: the file is damaged.
        """
        try:
            if group not in self._datasets:
                self._datasets[group] = self._file[group]["probability"]
            return self._datasets[group][row]
        except (KeyError, ValueError, OSError) as error:
            raise UserError(f"{self.path}: damaged predictions of group {group} ({error}); {REMEDY}") from error

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
        UserError: it is absent, foreign, truncated or damaged, without a case, or tests a slice twice under
            one seed.
    """
    return Predictions(path)


def _open(path: Path) -> h5py.File:
    if not path.is_file():
        raise UserError(f"{path}: no such file; {REMEDY}")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise UserError(f"{path}: not a whole HDF5 file ({error}); {REMEDY}") from error
    if file.attrs.get("format") != FORMAT or "slice" not in file:
        file.close()
        raise UserError(f"{path}: not a predictions file of format {FORMAT}; expected what `mmran predict` writes")
    return file
