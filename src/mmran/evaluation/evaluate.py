"""The stage `evaluate`: predictions and true masks -> cases.csv, every number's source -> summary.json."""

import math
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmran.data.cheng import CLASS_NAMES
from mmran.data.store import SliceStore
from mmran.errors import UserError
from mmran.evaluation.postprocess import fill_holes
from mmran.evaluation.predictions import CLASS_COLUMNS, TUMOR_BYTE, Predictions, bytes_probability, read_predictions
from mmran.files import sha256_file, write_json, write_text
from mmran.metrics import classification, overlap, surface

VARIANTS = ("raw", "pkp")
SEGMENTATION = (
    *("dice", "soft_dice", "hd95_mm", "missed"),
    *("iou_background", "iou_tumor", "recall_background", "recall_tumor"),
)
COLUMNS = (
    *("experiment", "protocol", "seed", "fold", "slice", "pid", "family", "label", "variant"),
    *SEGMENTATION,
    *CLASS_COLUMNS,
    "predicted",
)


# What pandas would guess wrongly: patient numbers are names, and a missing task leaves integers out.
_TYPES = {"pid": "str", "family": "str", "missed": "Int64", "predicted": "Int64"}


def evaluate(predictions_path: Path, store_path: Path, cases_path: Path, summary_path: Path) -> dict[str, Any]:
    """Measure every predicted slice; write cases.csv and summary.json.

    Args:
        predictions_path: predictions.h5 of one experiment under one protocol.
        store_path: the slice store that it was predicted from.
        cases_path: where cases.csv goes.
        summary_path: where summary.json goes; its digest of the cases binds the two.

    Returns:
        What summary.json holds.

    Raises:
        UserError: a file is absent or damaged, or the predictions belong to another store.
    """
    with read_predictions(predictions_path) as predictions, SliceStore(store_path) as store:
        if predictions.digests["data"] != store.digest:
            raise UserError(
                f"{predictions_path}: predicted from slices with digest {predictions.digests['data'][:12]}, "
                f"but {store_path} has {store.digest[:12]}; run `mmran predict` on this store"
            )
        cases = measure(predictions, store)
        write_text(cases_path, cases.to_csv(index=False))
        summary = summarize(cases, {**predictions.digests, "cases": sha256_file(cases_path)})
    write_json(summary_path, summary)
    return summary


def measure(predictions: Predictions, store: SliceStore) -> pd.DataFrame:
    """One row per case and variant, in the order seed, fold, slice, variant.

    The variant `pkp` has the holes of the mask filled; the probabilities, and so the soft Dice and the class,
    are those of `raw`. A network without segmentation has the variant `raw` only.

    Returns:
        DataFrame with `COLUMNS`; segmentation or class columns are empty for a network without that task.

    Raises:
        UserError: a slice is not in the store, or was predicted at another size.
    """
    slices = store.index.set_index("slice", drop=False).to_dict("index")
    unknown = sorted(set(predictions.cases["slice"]) - set(slices))
    if unknown:
        raise UserError(
            f"{predictions.path}: slice {unknown[0]} is not in {store.path}; predict and evaluate one store"
        )
    rows = []
    for case in predictions.cases.to_dict("records"):
        entry = slices[case["slice"]]
        common = {name: case[name] for name in ("seed", "fold", "slice", *CLASS_COLUMNS) if name in case}
        common |= {name: entry[name] for name in ("pid", "family", "label")}
        if predictions.classifies:
            common["predicted"] = 1 + int(np.argmax([case[name] for name in CLASS_COLUMNS]))
        if not predictions.segments:
            rows.append({**common, "variant": "raw"})
            continue
        stored = predictions.stored_probability(case["group"], case["row"])
        truth = _true_mask(store, entry, stored, predictions.path)
        for variant, metrics in _segmentation_metrics(stored, truth, float(entry["spacing_mm"])):
            rows.append({**common, "variant": variant, **metrics})
    cases = pd.DataFrame(rows).assign(experiment=predictions.experiment, protocol=predictions.protocol)
    return cases.reindex(columns=list(COLUMNS)).astype(_TYPES)


def read_cases(path: Path) -> pd.DataFrame:
    """Read a cases.csv, with the types that `measure` gives it.

    Raises:
        UserError: it is absent or lacks a column.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; run `mmran evaluate`")
    cases = pd.read_csv(path, dtype=_TYPES)
    missing = [name for name in COLUMNS if name not in cases.columns]
    if missing:
        raise UserError(f"{path}: lacks the column {missing[0]}; run `mmran evaluate` again")
    return cases


def _true_mask(
    store: SliceStore, entry: dict[Hashable, Any], stored: NDArray[np.uint8], path: Path
) -> NDArray[np.bool_]:
    _, masks = store.read_group(entry["group"])
    truth = np.asarray(masks[entry["row"]]) != 0
    if truth.shape != stored.shape:
        raise UserError(
            f"{path}: slice {entry['slice']} was predicted at {stored.shape}, but its native size is "
            f"{truth.shape}; run `mmran predict` again"
        )
    return truth


def _segmentation_metrics(
    stored: NDArray[np.uint8], truth: NDArray[np.bool_], spacing_mm: float
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield variant and metrics, raw first."""
    mask = stored >= TUMOR_BYTE
    soft_dice = overlap.soft_dice(bytes_probability(stored), truth)
    metrics = {"soft_dice": soft_dice, **_mask_metrics(mask, truth, spacing_mm)}
    yield "raw", metrics
    filled = fill_holes(mask)
    # Most predictions are solid already, and equal masks have equal metrics.
    if not np.array_equal(filled, mask):
        metrics = {"soft_dice": soft_dice, **_mask_metrics(filled, truth, spacing_mm)}
    yield "pkp", metrics


def _mask_metrics(mask: NDArray[np.bool_], truth: NDArray[np.bool_], spacing_mm: float) -> dict[str, Any]:
    counts = overlap.count_pixels(mask, truth)
    iou, recall = overlap.iou(counts), overlap.recall(counts)
    distance = surface.hd95(mask, truth, spacing_mm)
    return {
        "dice": overlap.dice(counts),
        "hd95_mm": distance.hd95_mm,
        "missed": int(distance.missed),
        "iou_background": iou.background,
        "iou_tumor": iou.tumor,
        "recall_background": recall.background,
        "recall_tumor": recall.tumor,
    }


def summarize(cases: pd.DataFrame, digests: dict[str, str]) -> dict[str, Any]:
    """Summary of one experiment's cases.

    Metrics are computed per seed over all its test slices, its folds pooled, then averaged over the seeds.

    Args:
        cases: as `measure` returns them.
        digests: SHA-256 of spec, data, split and cases.

    Returns:
        A JSON value: fractions 0..1, millimetres, and None where a metric is not defined; `absent_classes`
            names
        the classes without a test slice, which leave recall, precision, F1 and their AUC undefined.
    """
    trials = [
        {
            "seed": int(trial["seed"].iloc[0]),
            "fold": int(trial["fold"].iloc[0]),
            **_counts(trial),
            "variants": _metrics_of_variants(trial),
        }
        for _, trial in cases.groupby(["seed", "fold"], sort=True)
    ]
    per_seed = [_metrics_of_variants(seed_cases) for _, seed_cases in cases.groupby("seed", sort=True)]
    return {
        "experiment": str(cases["experiment"].iloc[0]),
        "protocol": str(cases["protocol"].iloc[0]),
        "digests": dict(digests),
        **_counts(cases),
        "variants": {variant: _mean_over_seeds([seed[variant] for seed in per_seed]) for variant in per_seed[0]},
        "trials": trials,
    }


def _counts(cases: pd.DataFrame) -> dict[str, Any]:
    labels = set(cases["label"])
    absent = [name for i, name in enumerate(CLASS_NAMES) if i + 1 not in labels]
    return {"n": int(cases["slice"].nunique()), "absent_classes": absent}


def _metrics_of_variants(cases: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    return {
        variant: {
            name: None if math.isnan(value) else value
            for name, value in {**_segmentation_summary(chosen), **_class_summary(chosen)}.items()
        }
        for variant, chosen in ((variant, cases[cases["variant"] == variant]) for variant in VARIANTS)
        if len(chosen)
    }


def _segmentation_summary(cases: pd.DataFrame) -> dict[str, float]:
    """Means over the slices; all NaN for a network without segmentation."""
    miou = cases[["iou_background", "iou_tumor"]].mean(axis=1)
    mpa = cases[["recall_background", "recall_tumor"]].mean(axis=1)  # over the classes that the truth has
    return {
        "dice": float(cases["dice"].mean()),
        "soft_dice": float(cases["soft_dice"].mean()),
        "hd95_mm": float(cases["hd95_mm"].mean()),
        "n_missed": float(cases["missed"].sum()) if cases["missed"].notna().all() else math.nan,
        "miou": float(miou.mean()),
        "mpa": float(mpa.mean()),
    }


def _class_summary(cases: pd.DataFrame) -> dict[str, float]:
    """Metrics of the class; all NaN for a network without classification."""
    names = ("acc", "rec", "pre", "f1", *(f"auc_{name}" for name in CLASS_NAMES), "auc_macro")
    if cases["predicted"].isna().any():
        return dict.fromkeys(names, math.nan)
    truth = cases["label"].to_numpy(dtype=np.int64) - 1
    confusion = classification.confusion_matrix(truth, cases["predicted"].to_numpy(dtype=np.int64) - 1)
    auc = classification.one_vs_rest_auc(truth, cases[list(CLASS_COLUMNS)].to_numpy(dtype=np.float64))
    values = (
        classification.accuracy(confusion),
        classification.macro_recall(confusion),
        classification.macro_precision(confusion),
        classification.f1(confusion),
        *auc,
        sum(auc) / len(auc),
    )
    return dict(zip(names, values, strict=True))


def _mean_over_seeds(per_seed: list[dict[str, float | None]]) -> dict[str, float | None]:
    """Mean of every metric over the seeds; None where any seed lacks it."""
    means: dict[str, float | None] = {}
    for name in per_seed[0]:
        values = [seed[name] for seed in per_seed]
        defined = [value for value in values if value is not None]
        means[name] = sum(defined) / len(defined) if len(defined) == len(values) else None
    return means
