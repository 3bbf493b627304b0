"""Writes predictions.h5, the file that `mmran.evaluation.predictions` describes and reads."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from mmran.data.classes import classes_attribute
from mmran.data.published import CLASSES
from mmran.evaluation.predictions import (
    DIGESTS,
    FORMAT,
    content_digest,
    mask_sha256,
    probability_bytes,
)
from mmran.files import atomic_path


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

    Leaving the block raises UserError if the folder cannot be written or the disk is full.

    Example:
        with PredictionWriter(path, "mmran", "paper", digests) as writer:
            writer.add(17, seed=1029, fold=0, probability=probability, class_probability=classes)
    """

    def __init__(
        self,
        path: Path | str,
        experiment: str,
        protocol: str,
        digests: Mapping[str, str],
        classes: Sequence[str] = CLASSES,
    ) -> None:
        """Prepare a writer; nothing is written before the block ends.

        Args:
            path: the final predictions.h5.
            experiment: name of the experiment.
            protocol: name of the split protocol.
            digests: SHA-256 of `spec`, `data` and `split`.
            classes: names of the data set's classes.
        """
        if set(digests) != set(DIGESTS):
            raise ValueError(f"digests are {sorted(digests)}, expected {sorted(DIGESTS)}")
        self.path = Path(path)
        self._attributes = {
            "experiment": experiment,
            "protocol": protocol,
            "digests": json.dumps(dict(digests), sort_keys=True),
            **classes_attribute(classes),
        }
        self._n_classes = len(classes)
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
            class_probability: (K,) float, in the order of the classes, or None for one without classification.

        Raises:
            ValueError: the case was added before, differs in its tasks from the earlier ones, or holds values
                that are not probabilities.
        """
        key = (int(slice), int(seed), int(fold))
        if key in self._keys:
            raise ValueError(f"slice {slice} of seed {seed}, fold {fold} was added twice")
        tasks = (probability is not None, class_probability is not None)
        if tasks == (False, False):
            raise ValueError(f"slice {slice} has neither a mask nor a class")
        if self._entries and tasks != (self._entries[0].group != "", self._entries[0].classes is not None):
            raise ValueError(f"slice {slice} is predicted for other tasks than the slices before it")
        classes = None if class_probability is None else _checked_classes(class_probability, slice, self._n_classes)
        stored = None if probability is None else probability_bytes(probability)
        group, row = ("", 0) if stored is None else self._add_mask(stored)
        self._keys.add(key)
        self._entries.append(_Entry(*key, group, row, mask_sha256(stored), classes))

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
                compression_opts=1,  # half the time of h5py's default, for an eighth more bytes
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
        self._file.attrs["content"] = content_digest(self._file)


def _checked_classes(class_probability: NDArray[np.floating], number: int, n_classes: int) -> NDArray[np.float32]:
    values = np.asarray(class_probability, dtype=np.float32)
    if values.shape != (n_classes,):
        raise ValueError(f"slice {number}: class_probability has shape {values.shape}, expected ({n_classes},)")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"slice {number}: a class probability is outside 0..1 or NaN")
    return values
