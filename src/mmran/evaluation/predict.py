"""The stage `predict`: trained networks over the test slices, at the native size of each slice."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from mmran.data.batches import iterate
from mmran.data.geometry import restore
from mmran.data.store import SliceStore
from mmran.evaluation.prediction_writer import PredictionWriter
from mmran.evaluation.record import InferenceRecord, write_inference
from mmran.files import sha256_file
from mmran.training.device import Compute
from mmran.training.record import RunRecord
from mmran.training.run import load_recipe, load_slices, peak_memory_mb, reset_peak_memory
from mmran.training.trial import RECORD, Trial


def predict_trials(trials: Sequence[Trial], spec: Path, trained: Path, output: Path, *, gpu: bool, threads: int) -> int:
    """Write predictions.h5 for the test slices of all trials of an experiment, and their cost in inference.json.

    Args:
        trials: the trials; `trained`/trials/NAME/ holds their weights.
        spec: the experiment's specification, whose digest the file carries.
        trained: folder that the stage `train` wrote.
        output: predictions.h5; inference.json is written beside it.
        gpu: predict on the GPU, not on the CPU.
        threads: of the CPU.

    Returns:
        The number of cases: every test slice once per trial that tests it.
    """
    first = trials[0]
    digests = {"spec": sha256_file(spec), "data": first.data_digest, "split": sha256_file(first.split)}
    name = first.experiment.name
    records = []
    with (
        SliceStore(first.store) as store,
        PredictionWriter(output, name, first.split.stem, digests, store.classes) as writer,
    ):
        sizes = store.index.set_index("slice")[["height", "width"]]
        for trial in trials:
            folder = trained / "trials" / trial.name
            record = RunRecord.read(folder / RECORD)
            compute = Compute.choose(
                gpu=gpu,
                threads=threads,
                precision=record.precision,
                deterministic=trial.experiment.training.deterministic,
                seed=trial.seed,
            )
            reset_peak_memory(compute)
            records.append(_predict_trial(trial, folder, compute, sizes, writer))
    write_inference(output.with_name("inference.json"), records)
    return sum(record.images for record in records)


def _predict_trial(
    trial: Trial, folder: Path, compute: Compute, sizes: pd.DataFrame, writer: PredictionWriter
) -> InferenceRecord:
    recipe = load_recipe(trial, folder, compute)
    slices = load_slices(trial, "test", compute.device)
    numbers = iter(slices.numbers.tolist())
    fit = trial.experiment.input.fit
    batches = iterate(
        slices, batch_size=trial.experiment.training.batch_size, seed=0, epoch=0, augmentation=None, shuffle=False
    )
    speeds = []
    for batch in batches:
        began = time.perf_counter()
        output = recipe.predict(batch.images)
        absent = [None] * len(batch.labels)
        masks = absent if output.mask_logits is None else output.mask_logits.float().sigmoid()[:, 0].cpu().numpy()
        classes = absent if output.class_logits is None else output.class_logits.float().softmax(1).cpu().numpy()
        # Copying to the host waits for the GPU, so the time is complete.
        speeds.append(len(batch.labels) / (time.perf_counter() - began))
        for mask, scores in zip(masks, classes, strict=True):
            number = next(numbers)
            height, width = sizes.loc[number]
            native = restore(mask, int(height), int(width), fit) if mask is not None else None
            writer.add(number, trial.seed, trial.fold, native, scores)
    return InferenceRecord(
        trial=trial.name,
        images=len(slices.labels),
        images_per_s=round(sorted(speeds)[len(speeds) // 2], 2),
        peak_memory_mb=peak_memory_mb(compute),
        **asdict(compute.machine()),
    )
