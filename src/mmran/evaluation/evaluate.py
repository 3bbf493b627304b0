"""The stage `evaluate`: predictions and true masks -> cases.csv, the source of every number -> summary.json."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmran.config.provenance import stage_code
from mmran.data.splits import read_split
from mmran.data.store import SliceStore
from mmran.errors import UserError
from mmran.evaluation.cases import NSD_TOLERANCE_MM, typed_cases, write_cases
from mmran.evaluation.custom_metrics import Measure, load_measures
from mmran.evaluation.postprocess import RAW, VARIANTS
from mmran.evaluation.predictions import (
    TUMOR_BYTE,
    Predictions,
    bytes_probability,
    class_columns,
    classes_of,
    read_predictions,
)
from mmran.evaluation.summary import Summary
from mmran.files import sha256_file
from mmran.metrics import overlap, released, surface
from mmran.metrics.custom import CustomMetrics

TERTILES = (1 / 3, 2 / 3)
FAINT_BYTE = 1
"""The smallest byte above zero: a probability of 1/256, where the authors' script uses 1/255."""


def evaluate(
    predictions_path: Path,
    store_path: Path,
    split_path: Path,
    cases_path: Path,
    summary_path: Path,
    custom: CustomMetrics | None = None,
) -> Summary:
    """Measure every predicted slice; write cases.csv and summary.json.

    Args:
        predictions_path: predictions.h5 of one experiment under one protocol.
        store_path: the slice store that it was predicted from.
        split_path: the split that it was predicted under; its training slices define small and large tumors.
        cases_path: where cases.csv goes.
        summary_path: where summary.json goes; its digest of the cases binds the two.
        custom: metrics from outside the package, measured too.

    Raises:
        UserError: a file is absent or damaged, the predictions belong to another store or split, or a custom metric
            cannot be imported or fails.
    """
    custom = custom or {}
    measures = load_measures(custom)
    with read_predictions(predictions_path) as predictions, SliceStore(store_path) as store:
        found = {"data": (store.digest, store_path), "split": (_file_digest(split_path), split_path)}
        for what, (digest, path) in found.items():
            if predictions.digests[what] != digest:
                raise UserError(
                    f"{predictions_path}: predicted under the {what} with digest {predictions.digests[what][:12]}, "
                    f"but {path} has {digest[:12]}; run `mmran predict` with it"
                )
        cases = measure(predictions, store, size_cutoffs(read_split(split_path), store), measures)
        write_cases(cases_path, cases)
        digests = {**predictions.digests, "predictions": predictions.content, "cases": sha256_file(cases_path)}
        code = stage_code("evaluate", *(one.function for one in custom.values()))
        summary = Summary.of(cases, digests, code, custom)
    summary.write(summary_path)
    return summary


def size_cutoffs(split: pd.DataFrame, store: SliceStore) -> dict[int, NDArray[np.float64]]:
    """Find the two tumor areas in mm² that divide the training slices of each fold into three equal parts."""
    areas = _areas_mm2(store.index)
    training = split[split["role"] == "train"]
    return {
        fold: np.quantile(areas.reindex(training.loc[training["fold"] == fold, "slice"]).dropna(), TERTILES)
        for fold in training["fold"].unique().tolist()
    }


def measure(
    predictions: Predictions,
    store: SliceStore,
    cutoffs: Mapping[int, NDArray[np.float64]],
    measures: Sequence[Measure] = (),
) -> pd.DataFrame:
    """Measure one row per case and variant, in the order seed, fold, slice, variant.

    A variant changes only the mask: metrics of probabilities and of the class are those of `raw`. A network without
    masks has only the variant `raw`.

    Args:
        predictions: of one experiment.
        store: the slices that were predicted.
        cutoffs: what `size_cutoffs` returns.
        measures: custom metrics.

    Returns:
        DataFrame with the columns of `mmran.evaluation.cases`.

    Raises:
        UserError: a slice is not in the store, its fold not in the split, it was predicted at another size, or a custom
            metric fails on it.
    """
    slices = store.index.assign(tumor_mm2=_areas_mm2(store.index).to_numpy()).set_index("slice", drop=False)
    entries = slices.to_dict("index")
    rows = []
    for case in predictions.cases.to_dict("records"):
        if case["slice"] not in entries:
            raise UserError(
                f"{predictions.path}: slice {case['slice']} is not in {store.path}; predict and evaluate one store"
            )
        if case["fold"] not in cutoffs:
            raise UserError(f"{predictions.path}: fold {case['fold']} is not in the split; run `mmran predict` again")
        entry = entries[case["slice"]]
        common = _common(case, entry, cutoffs[case["fold"]])
        if not predictions.segments:
            rows.append({**common, "variant": RAW})
            continue
        stored = predictions.stored_probability(case["group"], case["row"])
        truth = _true_mask(store, entry, stored, predictions.path)
        for variant, metrics in _segmentation_metrics(stored, truth, entry, measures):
            rows.append({**common, "variant": variant, **metrics})
    cases = pd.DataFrame(rows).assign(experiment=predictions.experiment, protocol=predictions.protocol)
    return typed_cases(cases, predictions.classes, [one.name for one in measures])


def _file_digest(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"{path}: no such split; make it with mmran split")
    return sha256_file(path)


def _areas_mm2(index: pd.DataFrame) -> pd.Series:
    """Tumor area by slice number."""
    return (index["tumor_px"] * index["spacing_mm"] ** 2).set_axis(index["slice"])


def _common(
    case: Mapping[Hashable, Any], entry: Mapping[Hashable, Any], cutoffs: NDArray[np.float64]
) -> dict[str, Any]:
    """The values that all variants of a case share."""
    probabilities = class_columns(classes_of(case))
    values = {name: case[name] for name in ("seed", "fold", "slice", *probabilities)}
    values |= {name: entry[name] for name in ("pid", "family", "label", "tumor_mm2")}
    values["image_mm2"] = entry["height"] * entry["width"] * entry["spacing_mm"] ** 2
    values["size_tertile"] = 1 + int(np.count_nonzero(entry["tumor_mm2"] > cutoffs))
    if probabilities:
        values["predicted"] = 1 + int(np.argmax([case[name] for name in probabilities]))
    return values


def _true_mask(
    store: SliceStore, entry: Mapping[Hashable, Any], stored: NDArray[np.uint8], path: Path
) -> NDArray[np.bool_]:
    _, mask = store.read(entry["slice"])
    truth = mask != 0
    if truth.shape != stored.shape:
        raise UserError(
            f"{path}: slice {entry['slice']} was predicted at {stored.shape}, but its native size is "
            f"{truth.shape}; run `mmran predict` again"
        )
    return truth


def _segmentation_metrics(
    stored: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    entry: Mapping[Hashable, Any],
    measures: Sequence[Measure],
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every variant and its metrics."""
    raw, spacing_mm = stored >= TUMOR_BYTE, float(entry["spacing_mm"])
    of_probability = _probability_metrics(stored, truth)
    measured: list[tuple[NDArray[np.bool_], dict[str, Any]]] = []
    for variant, postprocess in VARIANTS.items():
        mask = postprocess(raw)
        # Most predictions are solid, so their variants are the same mask, which is measured once.
        metrics = next((known for other, known in measured if np.array_equal(other, mask)), None)
        if metrics is None:
            where = f"slice {entry['slice']}, variant {variant}"
            of_mask = {one.name: one(mask, truth, spacing_mm, where) for one in measures}
            metrics = {**of_probability, **_mask_metrics(mask, truth, spacing_mm), **of_mask}
            measured.append((mask, metrics))
        yield variant, metrics


def _probability_metrics(stored: NDArray[np.uint8], truth: NDArray[np.bool_]) -> dict[str, float]:
    """Metrics that need no thresholded mask, and so no postprocessing."""
    probability = bytes_probability(stored)
    miou, mpa = released.faint_overlap(stored >= FAINT_BYTE, truth)
    return {
        "soft_dice": overlap.soft_dice(probability, truth),
        "dice_released": released.soft_loss_dice(probability, truth),
        "miou_released": miou,
        "mpa_released": mpa,
    }


def _mask_metrics(mask: NDArray[np.bool_], truth: NDArray[np.bool_], spacing_mm: float) -> dict[str, Any]:
    counts = overlap.count_pixels(mask, truth)
    iou, recall = overlap.iou(counts), overlap.recall(counts)
    distances = surface.surface_distances(mask, truth, spacing_mm)
    return {
        "dice": overlap.dice(counts),
        "hd95_mm": surface.hd95_mm(distances),
        "assd_mm": surface.assd_mm(distances),
        "nsd_2mm": surface.nsd(distances, NSD_TOLERANCE_MM),
        "missed": int(distances.missed),
        "overlaps": int(counts.true_positive > 0 or distances.both_empty),
        "iou_background": iou.background,
        "iou_tumor": iou.tumor,
        "recall_background": recall.background,
        "recall_tumor": recall.tumor,
    }
