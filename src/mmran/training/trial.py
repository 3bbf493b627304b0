"""One trial: an experiment under one seed and one fold, found again by the digest of all that decides it."""

import contextlib
import fcntl
import os
import platform
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from mmran import __version__
from mmran.config.experiment import Experiment
from mmran.data.batches import ResidentSlices
from mmran.data.splits import read_split
from mmran.data.store import SliceStore
from mmran.errors import UserError
from mmran.files import atomic_path, canonical_json, read_json, sha256_file, sha256_text, write_json
from mmran.training.checkpoint import CheckpointFolder
from mmran.training.device import Compute
from mmran.training.engine import State, make_recipe, train
from mmran.training.recipe import Recipe


@dataclass(frozen=True)
class Trial:
    """What is trained, on what, and where the work in progress lies.

    Attributes:
        experiment: the resolved experiment.
        seed, fold: which of its trials.
        store: the converted slices.
        split: csv of the protocol.
        data_digest, split_digest: of the slices' content and of the fold's rows.
        work: folder of all work in progress; the trial's own is named after its digest.
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
        """Name of the trial among those of its experiment."""
        return f"seed{self.seed}-fold{self.fold}"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that decides the trial's weights."""
        parts = {"experiment": self.experiment.digest(), "data": self.data_digest, "split": self.split_digest}
        return sha256_text(canonical_json({**parts, "seed": self.seed, "fold": self.fold}))

    @property
    def folder(self) -> Path:
        """Where the trial's checkpoints are while it runs, and its results when it has ended."""
        return self.work / self.digest[:24]

    def finished(self) -> bool:
        """Whether the trial has ended and its weights are as they were written."""
        record, weights = self.folder / "run.json", self.folder / "weights.safetensors"
        if not record.is_file() or not weights.is_file():
            return False
        values = read_json(record)
        return values["digest"] == self.digest and values["weights_sha256"] == sha256_file(weights)


def plan_trials(experiment: Experiment, store: Path, split: Path, work: Path) -> list[Trial]:
    """The trials of an experiment: its seeds times the folds of the split."""
    with SliceStore(store) as slices:
        data_digest = slices.digest
    rows = read_split(split)
    trials = []
    for fold in sorted(rows["fold"].unique().tolist()):
        chosen = rows.loc[rows["fold"] == fold, ["slice", "role"]].sort_values("slice")
        split_digest = sha256_text(chosen.to_csv(index=False))
        trials += [
            Trial(experiment, seed, fold, store.resolve(), split.resolve(), data_digest, split_digest, work.resolve())
            for seed in experiment.seeds
        ]
    return trials


def run_trial(
    trial: Trial,
    *,
    gpu: bool,
    threads: int,
    log: Callable[[str], None] = print,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> Path:
    """Train a trial, or find that it has been; returns its folder with weights.safetensors, history.csv and run.json.

    Raises:
        UserError: the data, the machine or the training stops it, in one line.
    """
    with _alone(trial.folder):
        if trial.finished():
            log(f"{trial.experiment.name} {trial.name}: trained before, kept")
            return trial.folder
        options = trial.experiment.training
        compute = Compute.choose(
            gpu=gpu,
            threads=threads,
            precision=options.precision,
            deterministic=options.deterministic,
            seed=trial.seed,
        )
        slices = {role: load_slices(trial, role, compute.device) for role in ("train", "val")}
        folder = CheckpointFolder(trial.folder, trial.digest)
        recipe, state = train(
            trial.experiment,
            seed=trial.seed,
            training=slices["train"],
            validation=slices["val"],
            compute=compute,
            folder=folder,
            log=log,
            on_epoch=on_epoch,
        )
        _finish(trial, recipe, state, compute)
        return trial.folder


def load_slices(trial: Trial, role: str, device: torch.device) -> ResidentSlices:
    """Put the slices of one side of the trial's fold on a device.

    Raises:
        UserError: the side is empty.
    """
    rows = read_split(trial.split)
    chosen = rows[(rows["fold"] == trial.fold) & (rows["role"] == role)]
    if chosen.empty:
        raise UserError(f"{trial.split}: fold {trial.fold} has no {role} slices; every fold needs train, val and test")
    with SliceStore(trial.store) as store:
        options = trial.experiment.input
        return ResidentSlices.load(
            store,
            chosen["slice"].to_numpy(),
            size=options.size,
            fit=options.fit,
            percentiles=options.percentiles,
            device=device,
        )


def load_recipe(trial: Trial, folder: Path, compute: Compute) -> Recipe:
    """The trained network of a trial, from the folder that holds its weights."""
    from safetensors.torch import load_file

    recipe = make_recipe(trial.experiment, compute)
    path = folder / "weights.safetensors"
    record = read_json(folder / "run.json")
    if sha256_file(path) != record["weights_sha256"]:
        raise UserError(f"{path}: not the weights that {folder / 'run.json'} records; remove both and train again")
    recipe.network.load_state_dict(load_file(path))
    recipe.network.eval()
    return recipe


def _finish(trial: Trial, recipe: Recipe, state: State, compute: Compute) -> None:
    """Write weights and record, then let the checkpoints go: the record is what says that the trial has ended."""
    # Here: a machine that only trains may lack the package until it has something to write.
    from safetensors.torch import save_file

    weights = trial.folder / "weights.safetensors"
    tensors = {key: value.detach().contiguous().cpu() for key, value in recipe.network.state_dict().items()}
    with atomic_path(weights) as temporary:
        # One entry: several are written in an order that changes from run to run, and so would the digest.
        save_file(tensors, temporary, metadata={"digest": trial.digest})
    images_per_s = [float(row["images_per_s"]) for row in state.history]
    record = {
        "digest": trial.digest,
        "experiment": trial.experiment.name,
        "seed": trial.seed,
        "fold": trial.fold,
        "data": trial.data_digest,
        "split": trial.split_digest,
        "epochs": len(state.history),
        "best_epoch": state.best_epoch,
        "best_score": state.best_score,
        "evaluated": trial.experiment.training.selection,
        "accumulate": trial.experiment.training.accumulate,
        "mask_prior": state.mask_prior,
        "seconds": round(state.seconds, 2),
        "images_per_s": sorted(images_per_s)[len(images_per_s) // 2],
        "peak_memory_mb": peak_memory_mb(compute),
        "weights_sha256": sha256_file(weights),
        "versions": {"mmran": __version__, "torch": torch.__version__, "python": platform.python_version()},
        **compute.describe(),
    }
    write_json(trial.folder / "run.json", record)
    CheckpointFolder(trial.folder, trial.digest).discard()


def deliver(trials: list[Trial], output: Path) -> None:
    """Put the results of an experiment's trials where its rule declares them.

    Writes trials/NAME/ (linked where the file system allows, so that weights are kept once), history.csv of all
    trials and, last, runs.json, which names them.
    """
    folder = output / "trials"
    shutil.rmtree(folder, ignore_errors=True)
    records = []
    for trial in trials:
        target = folder / trial.name
        target.mkdir(parents=True)
        for name in ("weights.safetensors", "history.csv", "run.json"):
            _link(trial.folder / name, target / name)
        records.append(read_json(target / "run.json") | {"trial": trial.name})
    _join_histories(trials, output / "history.csv")
    write_json(output / "runs.json", records)


def _join_histories(trials: list[Trial], path: Path) -> None:
    import pandas as pd

    frames = []
    for trial in trials:
        frame = pd.read_csv(trial.folder / "history.csv")
        frame.insert(0, "seed", trial.seed)
        frame.insert(1, "fold", trial.fold)
        frames.append(frame)
    with atomic_path(path) as temporary:
        pd.concat(frames).to_csv(temporary, index=False)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the trial's folder: two experiments with one specification train once, the second finds it done."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{folder}: another process trains this; waiting for it", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def peak_memory_mb(compute: Compute) -> float:
    """The most memory that was in use so far: on a GPU by tensors, else by the whole process; in MiB."""
    if compute.device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(compute.device) / 2**20, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10, 1)
