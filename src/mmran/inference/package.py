"""The verb `package`: results of an experiment -> a folder with everything that prediction needs."""

import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mmran.config.experiment import Experiment, Input
from mmran.data.batches import ResidentSlices
from mmran.data.geometry import network_spacing_mm
from mmran.data.splits import read_split
from mmran.data.store import SliceStore
from mmran.errors import UserError, known_names
from mmran.evaluation.summary import Summary
from mmran.files import atomic_folder, sha256_file
from mmran.inference.card import model_card
from mmran.inference.record import (
    CARD,
    FORMAT,
    FORMAT_OF_GRAY,
    NOTICE,
    RECORD,
    RESULTS,
    SPEC,
    WEIGHTS,
    Package,
    Range,
    TrainingImages,
)
from mmran.inference.record import Weights as WeightsRecord
from mmran.inference.results import measured_intervals
from mmran.networks import network_class
from mmran.statistics.files import write_csv
from mmran.statistics.intervals import Interval
from mmran.training.record import RunRecord, read_runs
from mmran.training.trial import RECORD as RUN_RECORD
from mmran.training.trial import WEIGHTS as WEIGHTS_FILE
from mmran.training.trial import Trial, plan_trials
from mmran.version import __version__

_TOGETHER = 64
"""Training slices that are read at a time."""

DATA_LICENSE = "not stated"


def package(
    results: Path,
    experiment: str,
    protocol: str | None,
    output: Path,
    *,
    seeds: Sequence[int] | None = None,
    data_license: str = DATA_LICENSE,
    overwrite: bool = False,
) -> Package:
    """Write a package of a trained and evaluated experiment.

    Args:
        results: folder of results of the workflow.
        experiment: name of the experiment.
        protocol: split protocol; may be None if results exist under only one.
        output: folder of the package; it appears whole or not at all.
        seeds: take the networks of these seeds, and test results of theirs alone; all if None.
        data_license: license of the training data, as printed on the model card.
        overwrite: replace an existing package.

    Raises:
        UserError: the results are absent or incomplete, no network has such a seed, weights do not fit their records,
            or the output exists.
    """
    folder = _experiment_folder(results, experiment, protocol)
    protocol = folder.name
    store_path, split_path = results / "data" / "slices.h5", results / "splits" / f"{protocol}.csv"
    _refuse_to_replace(output, overwrite)
    spec_text = (folder / SPEC).read_bytes()
    spec = Experiment.read(folder / SPEC)
    trials = _of_seeds(plan_trials(spec, store_path, split_path, folder), seeds, folder)
    runs = [_checked_run(folder, trial) for trial in trials]
    summary = _checked_summary(folder, store_path, split_path)
    with SliceStore(store_path) as store:
        classes, channels = store.classes, store.channels
    with atomic_folder(output) as temporary:
        (temporary / SPEC).write_bytes(spec_text)
        measured = measured_intervals(folder, summary, sorted({trial.seed for trial in trials}))
        write_csv(temporary / RESULTS, Interval, measured)
        tasks = spec.network.tasks or network_class(spec.network.name).tasks
        record = Package(
            format=FORMAT if channels else FORMAT_OF_GRAY,
            experiment=experiment,
            protocol=protocol,
            tasks=tuple(tasks),
            classes=classes if "classification" in tasks else (),
            preprocessing=describe_preprocessing(spec.input, channels),
            training_images=training_images(spec.input, store_path, split_path),
            weights=tuple(
                _copy_weights(folder, trial, run, temporary) for trial, run in zip(trials, runs, strict=True)
            ),
            digests={
                **{name: summary.digests[name] for name in ("data", "split", "cases")},
                "spec": sha256_file(temporary / SPEC),
                "results": sha256_file(temporary / RESULTS),
            },
            versions={
                **runs[0].versions,
                "packaged_by": __version__,
                "packaged_with_python": platform.python_version(),
            },
            licenses={"code": "MIT", "data": data_license},
            notice=NOTICE,
            channels=channels,
        )
        record.write(temporary)
        (temporary / CARD).write_text(model_card(record, spec, measured, summary, classes), encoding="utf-8")
    return record


def describe_preprocessing(options: Input, channels: Sequence[str] = ()) -> tuple[str, ...]:
    """The steps between an image and the network, for users who run the weights without mmran."""
    low, high = options.percentiles
    each, stack = "", "stack as (batch, 1, height, width)"
    if channels:
        each = "each channel by itself: "
        stack = f"stack as (batch, {len(channels)}, height, width), the channels in the order {', '.join(channels)}"
    fit = {
        "pad": f"center the image in a square of {options.size} x {options.size} pixels of its darkest intensity",
        "resample": (
            "center the image in a square of its longer side, filled with its darkest intensity, and scale that to "
            f"{options.size} x {options.size} pixels: area average when it shrinks, linear when it grows; round "
            "integers"
        ),
    }[options.fit]
    return (
        f"{each}percentiles {low:g} and {high:g} of the whole image (linear interpolation) are `low` and `high`",
        fit,
        "as float32: clip (image - low) / (high - low) to 0..1",
        stack,
        "sigmoid of the mask logit is the tumor probability of a pixel, softmax of the class logits that of a class",
        "average the probabilities of all weights; a pixel is tumor where the mean is at least 0.5",
    )


def training_images(options: Input, store_path: Path, split_path: Path) -> TrainingImages:
    """Measure the slices that trained in any fold."""
    split = read_split(split_path)
    numbers = np.unique(split.loc[split["role"] == "train", "slice"])
    with SliceStore(store_path) as store:
        rows = store.index.set_index("slice").loc[numbers.tolist()]
        means, stds = _normalized_statistics(store, numbers, options)
        image_type = store.image_type.str
    network_mm = [
        network_spacing_mm(spacing, height, width, options.size, options.fit)
        for spacing, height, width in zip(rows["spacing_mm"], rows["height"], rows["width"], strict=True)
    ]
    sizes = rows["height"].astype(str) + "x" + rows["width"].astype(str)
    return TrainingImages(
        slices=len(rows),
        sizes=tuple(sorted(sizes.unique())),
        image_type=image_type,
        field_of_view_mm=float((rows["spacing_mm"] * rows[["height", "width"]].max(axis=1)).median()),
        spacing_mm=_range(rows["spacing_mm"]),
        network_spacing_mm=_range(network_mm),
        network_spacing_median_mm=float(np.median(network_mm)),
        mean=_range(means),
        std=_range(stds),
        tumor_mm2=_range(rows["tumor_px"] * rows["spacing_mm"] ** 2),
    )


def _normalized_statistics(
    store: SliceStore, numbers: "np.ndarray", options: Input
) -> tuple["np.ndarray", "np.ndarray"]:
    """Mean and standard deviation of each slice as the network sees it, (n,) each."""
    import torch

    means, stds = [], []
    for start in range(0, len(numbers), _TOGETHER):
        chosen = numbers[start : start + _TOGETHER]
        slices = ResidentSlices.load(store, chosen, options.size, options.fit, options.percentiles, "cpu")
        images = slices.gather(torch.arange(len(chosen))).images
        means.append(images.mean(dim=(1, 2, 3)).numpy())
        stds.append(images.std(dim=(1, 2, 3), correction=0).numpy())
    return np.concatenate(means), np.concatenate(stds)


def _range(values: "pd.Series | Sequence[float] | np.ndarray") -> Range:
    return float(np.min(values)), float(np.max(values))


def _experiment_folder(results: Path, experiment: str, protocol: str | None) -> Path:
    root = results / "experiments"
    trained = {path.parents[1].name for path in root.glob("*/*/runs.json")}
    if not trained:
        raise UserError(f"{results}: holds no trained experiment; run snakemake first, or name another folder")
    if experiment not in trained:
        raise UserError(f"{results}: has no trained experiment {experiment!r}; {known_names(experiment, trained)}")
    protocols = sorted(path.parent.name for path in root.glob(f"{experiment}/*/runs.json"))
    if protocol is None and len(protocols) > 1:
        raise UserError(f"{root / experiment}: trained under {', '.join(protocols)}; choose one with --protocol")
    chosen = protocol or protocols[0]
    if chosen not in protocols:
        raise UserError(f"{root / experiment}: not trained under {chosen!r}; {known_names(chosen, protocols)}")
    return root / experiment / chosen


def _refuse_to_replace(output: Path, overwrite: bool) -> None:
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not (output / RECORD).is_file():
        raise UserError(f"{output}: exists and is not a model package; choose another --output")
    if not overwrite:
        raise UserError(f"{output}: already holds a package; choose another --output, or add --overwrite")


def _of_seeds(trials: Sequence[Trial], seeds: Sequence[int] | None, folder: Path) -> list[Trial]:
    """The trials of some seeds; of all if None."""
    known = list(dict.fromkeys(trial.seed for trial in trials))
    for seed in seeds or ():
        if seed not in known:
            raise UserError(f"{folder}: has no network of seed {seed}; choose from {', '.join(map(str, known))}")
    return [trial for trial in trials if seeds is None or trial.seed in seeds]


def _checked_run(folder: Path, trial: Trial) -> RunRecord:
    """The record of a trial, after checking its weights, specification, data, and split."""
    place = folder / "trials" / trial.name
    record = RunRecord.read(place / RUN_RECORD)
    if record.digest != trial.digest:
        raise UserError(
            f"{place / RUN_RECORD}: records training {record.digest[:12]}, but specification, data and split give "
            f"{trial.digest[:12]}; run snakemake again"
        )
    if record not in read_runs(folder / "runs.json"):
        raise UserError(f"{folder / 'runs.json'}: does not list {trial.name} as in {RUN_RECORD}; run snakemake again")
    path = place / WEIGHTS_FILE
    if sha256_file(path) != record.weights_sha256:
        raise UserError(
            f"{path}: not the weights that {RUN_RECORD} records (their SHA-256 differs); delete {folder / 'runs.json'} "
            "and run snakemake again"
        )
    return record


def _checked_summary(folder: Path, store_path: Path, split_path: Path) -> Summary:
    """The summary of the experiment, measured on the same specification, data and split."""
    path = folder / "summary.json"
    if not path.is_file():
        raise UserError(f"{path}: no such file; evaluate {folder.parent.name} under {folder.name} first")
    summary = Summary.read(path)
    with SliceStore(store_path) as store:
        present = {"spec": sha256_file(folder / SPEC), "data": store.digest, "split": sha256_file(split_path)}
    for what, digest in present.items():
        if summary.digests[what] != digest:
            raise UserError(
                f"{path}: measured under the {what} with digest {summary.digests[what][:12]}, but it is now "
                f"{digest[:12]}; run snakemake again"
            )
    return summary


def _copy_weights(folder: Path, trial: Trial, run: RunRecord, temporary: Path) -> WeightsRecord:
    name = f"{WEIGHTS}/{trial.name}.safetensors"
    target = temporary / name
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(folder / "trials" / trial.name / WEIGHTS_FILE, target)
    if sha256_file(target) != run.weights_sha256:
        raise UserError(f"{target}: the copy differs from the weights; check the disk and run `mmran package` again")
    return WeightsRecord(name, trial.seed, trial.fold, run.weights_sha256, run.device, run.precision)
