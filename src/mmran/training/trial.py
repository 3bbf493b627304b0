"""A trial: one experiment with one seed and one fold, identified by a digest of everything that decides its weights.

Imports no torch, so a driver plans trials quickly; `mmran.training.run` trains them.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mmran.config.experiment import Experiment
from mmran.data.splits import read_split
from mmran.data.store import SliceStore
from mmran.errors import UserError
from mmran.files import canonical_json, sha256_file, sha256_text
from mmran.training.record import RunRecord, trial_name

WEIGHTS, HISTORY, RECORD = "weights.safetensors", "history.csv", "run.json"
RESULTS = (WEIGHTS, HISTORY, RECORD)
"""Files of a finished trial; the record is written last."""


@dataclass(frozen=True)
class Trial:
    """What is trained, on what data, and the folder of the work in progress.

    Attributes:
        experiment: the resolved experiment.
        seed: seed of the weights, the order and the augmentation.
        fold: fold of the split.
        store: converted slices.
        split: csv of the protocol.
        data_digest: of the slices' content.
        split_digest: of the fold's rows.
        work: folder of all work in progress; the trial's own folder is named after its digest.
    """

    experiment: Experiment
    seed: int
    fold: int
    store: Path
    split: Path
    data_digest: str
    split_digest: str
    work: Path

    @property
    def name(self) -> str:
        """Name of the trial within its experiment."""
        return trial_name(self.seed, self.fold)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that decides the trial's weights."""
        parts = {"experiment": self.experiment.digest(), "data": self.data_digest, "split": self.split_digest}
        return sha256_text(canonical_json({**parts, "seed": self.seed, "fold": self.fold}))

    @property
    def folder(self) -> Path:
        """Folder of the trial's checkpoints while it runs, and of its results when it is finished."""
        return self.work / self.digest[:24]

    @property
    def weights_path(self) -> Path:
        """The weights that are evaluated."""
        return self.folder / WEIGHTS

    @property
    def history_path(self) -> Path:
        """One row per epoch."""
        return self.folder / HISTORY

    @property
    def record_path(self) -> Path:
        """The record that marks the trial as finished."""
        return self.folder / RECORD

    @property
    def scalars_folder(self) -> Path:
        """TensorBoard's event files, below the folder of results."""
        return self.work.parent / "tensorboard" / self.experiment.name / self.split.stem / self.name

    def finished(self) -> bool:
        """Whether the trial has ended and its files are intact."""
        return self.record_path.is_file() and self.damage() is None

    def damage(self) -> str | None:
        """What is wrong with the results in the trial's folder, in one line; None if they are intact.

        A trial that has no record yet is not damaged.
        """
        if not self.record_path.is_file():
            return None
        try:
            record = RunRecord.read(self.record_path)
            if record.digest != self.digest:
                return f"{self.record_path}: belongs to another training"
            recorded = {self.weights_path: record.weights_sha256, self.history_path: record.history_sha256}
            for path, digest in recorded.items():
                if sha256_file(path) != digest:
                    return f"{path}: changed since it was written (its SHA-256 differs from the recorded one)"
        except UserError as error:
            return str(error)
        return None


def plan_trials(experiment: Experiment, store: Path, split: Path, work: Path) -> list[Trial]:
    """The trials of an experiment: its seeds times the folds of the split.

    Raises:
        UserError: the store or the split cannot be read.
    """
    with SliceStore(store) as slices:
        data_digest = slices.digest
    rows = read_split(split)
    weights = experiment.network.encoder_weights
    if weights and not weights.sha256:
        experiment = experiment.started_from(weights.read())
    trials = []
    for fold in sorted(rows["fold"].unique().tolist()):
        chosen = rows.loc[rows["fold"] == fold, ["slice", "role"]].sort_values("slice")
        split_digest = sha256_text(chosen.to_csv(index=False))
        trials += [
            Trial(experiment, seed, fold, store.resolve(), split.resolve(), data_digest, split_digest, work.resolve())
            for seed in experiment.seeds
        ]
    return trials
