"""summary.json: the means of cases.csv, where they come from, and the proof that they still agree."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmran.errors import UserError
from mmran.evaluation.cases import custom_columns, read_cases
from mmran.evaluation.postprocess import VARIANTS
from mmran.evaluation.predictions import class_columns, classes_of
from mmran.files import read_json, sha256_file, write_json
from mmran.metrics import classification
from mmran.metrics.custom import CustomMetrics, custom_metrics, describe
from mmran.metrics.names import Metric, metric_names
from mmran.metrics.released import SCORE_DECIMALS

Values = Mapping[str, float | None]
"""Metric -> value: fractions 0..1, millimeters or counts; None where the metric is not defined."""
DIGESTS = ("spec", "data", "split", "predictions", "cases")
TOLERANCE = 1e-9
"""How far a recorded value may be from the one computed from cases.csv: other versions of numpy add in other orders."""


@dataclass(frozen=True)
class Part:
    """The metrics of one trial, or of one seed over all its folds (`fold` is None).

    Attributes:
        n: number of test slices.
        absent_classes: classes without a test slice; recall, precision, F1 and their AUC are not defined.
        variants: variant -> its metrics.
    """

    seed: int
    fold: int | None
    n: int
    absent_classes: tuple[str, ...]
    variants: Mapping[str, Values]


@dataclass(frozen=True)
class Summary:
    """Results of one experiment under one protocol.

    Attributes:
        experiment, protocol: which.
        n: number of test slices.
        absent_classes: classes without a test slice.
        digests: SHA-256 of spec, data, split, predictions (their content) and cases.
        code: module -> digest of the source that measured.
        variants: variant -> metrics, each computed per seed over all its folds, then averaged over the seeds.
        seeds: the metrics of each seed.
        trials: the metrics of each seed and fold.
        custom: definitions of the metrics from outside the package among them; not in the file if there are none.
    """

    experiment: str
    protocol: str
    n: int
    absent_classes: tuple[str, ...]
    digests: Mapping[str, str]
    code: Mapping[str, str]
    variants: Mapping[str, Values]
    seeds: tuple[Part, ...]
    trials: tuple[Part, ...]
    custom: CustomMetrics = dataclasses.field(default_factory=dict)

    @classmethod
    def of(
        cls,
        cases: pd.DataFrame,
        digests: Mapping[str, str],
        code: Mapping[str, str],
        custom: CustomMetrics | None = None,
    ) -> "Summary":
        """Summarize cases.

        Args:
            cases: what `read_cases` or `measure` returns.
            digests: SHA-256 by `DIGESTS`.
            code: module -> digest of the evaluation code.
            custom: definitions of the custom metrics that the cases have.
        """
        seeds = tuple(_part(chosen, fold=None) for _, chosen in cases.groupby("seed", sort=True))
        trials = [chosen for _, chosen in cases.groupby(["seed", "fold"], sort=True)]
        return cls(
            experiment=str(cases["experiment"].iloc[0]),
            protocol=str(cases["protocol"].iloc[0]),
            n=int(cases["slice"].nunique()),
            absent_classes=_absent_classes(cases),
            digests=dict(digests),
            code=dict(code),
            variants={name: _mean([seed.variants[name] for seed in seeds]) for name in seeds[0].variants},
            seeds=seeds,
            trials=tuple(_part(chosen, fold=int(chosen["fold"].iloc[0])) for chosen in trials),
            custom=dict(custom or {}),
        )

    def write(self, path: Path) -> None:
        """Write summary.json."""
        write_json(path, self._values())

    def _values(self) -> dict[str, Any]:
        values = dataclasses.asdict(self)
        return values if self.custom else {key: value for key, value in values.items() if key != "custom"}

    def metric(self, name: str) -> Metric:
        """How one of its metrics is printed and ranked."""
        return describe(name, self.custom)

    @classmethod
    def read(cls, path: Path) -> "Summary":
        """Read a summary.json, and recompute its numbers from the cases.csv beside it.

        Raises:
            UserError: it is absent or damaged, cases.csv is not the one it was made from, or a number was edited.
        """
        values = read_json(path)
        try:
            parts = {name: tuple(_read_part(part) for part in values[name]) for name in ("seeds", "trials")}
            parts |= {"absent_classes": tuple(values["absent_classes"])}
            recorded = cls(**{**values, **parts, "custom": custom_metrics(values.get("custom", {}))})
            digest = recorded.digests["cases"]
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: not a summary ({error}); run `mmran evaluate` again") from error
        cases_path = path.with_name("cases.csv")
        if not cases_path.is_file() or sha256_file(cases_path) != digest:
            raise UserError(f"{path}: not made from {cases_path} as it is now; run `mmran evaluate` again")
        computed = cls.of(read_cases(cases_path), recorded.digests, recorded.code, recorded.custom)
        if difference := _difference(recorded._values(), computed._values()):
            raise UserError(f"{path}: {difference} in {cases_path}; run `mmran evaluate` again")
        return computed


def _read_part(values: dict[str, Any]) -> Part:
    return Part(**{**values, "absent_classes": tuple(values["absent_classes"])})


def _difference(recorded: Any, computed: Any, key: str = "") -> str:
    """Name the first value that differs, or return an empty text."""
    if isinstance(computed, Mapping):
        if not isinstance(recorded, Mapping) or recorded.keys() != computed.keys():
            return f"{key or 'its keys'} holds other names than those that follow from the cases"
        pairs = [(name, recorded[name], computed[name]) for name in computed]
    elif isinstance(computed, list | tuple):
        if not isinstance(recorded, list | tuple) or len(recorded) != len(computed):
            return f"{key} has another length than the one that follows from the cases"
        pairs = [(str(i), recorded[i], computed[i]) for i in range(len(computed))]
    else:
        return "" if _equal(recorded, computed) else f"{key} is {recorded}, but {computed} follows from the cases"
    found = (_difference(ours, theirs, f"{key}.{name}" if key else str(name)) for name, ours, theirs in pairs)
    return next((text for text in found if text), "")


def _equal(recorded: Any, computed: Any) -> bool:
    if isinstance(computed, float) and isinstance(recorded, int | float):
        return math.isclose(recorded, computed, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(recorded == computed)


def _part(cases: pd.DataFrame, fold: int | None) -> Part:
    variants = [name for name in VARIANTS if (cases["variant"] == name).any()]
    return Part(
        seed=int(cases["seed"].iloc[0]),
        fold=fold,
        n=int(cases["slice"].nunique()),
        absent_classes=_absent_classes(cases),
        variants={name: _metrics(cases[cases["variant"] == name]) for name in variants},
    )


def _absent_classes(cases: pd.DataFrame) -> tuple[str, ...]:
    labels = set(cases["label"])
    return tuple(name for i, name in enumerate(classes_of(cases)) if i + 1 not in labels)


def _metrics(cases: pd.DataFrame) -> Values:
    """Every metric over one row per slice."""
    classes = classes_of(cases)
    values = {**_segmentation(cases), **_classification(cases, classes)}
    custom = custom_columns(cases.columns.tolist())
    # Over the slices where a metric is defined; NaN if there is none.
    values |= {name: float(cases[name].mean()) for name in custom}
    return {name: None if math.isnan(values[name]) else values[name] for name in (*metric_names(classes), *custom)}


_MEANS = ("dice", "soft_dice", "hd95_mm", "assd_mm", "nsd_2mm", "dice_released", "miou_released", "mpa_released")


def _segmentation(cases: pd.DataFrame) -> dict[str, float]:
    """Means over the slices; all NaN for a network without masks."""
    if cases["missed"].isna().any():
        return dict.fromkeys(metric_names((), "masks"), math.nan)
    missed, overlaps = cases["missed"] == 1, cases["overlaps"] == 1
    miou = cases[["iou_background", "iou_tumor"]].mean(axis=1)
    mpa = cases[["recall_background", "recall_tumor"]].mean(axis=1)  # over the pixel classes that the truth has
    return {
        **{name: float(cases[name].mean()) for name in _MEANS},
        "hd95_median_mm": float(cases["hd95_mm"].median()),
        "hd95_overlapping_mm": float(cases.loc[overlaps, "hd95_mm"].mean()),
        "n_missed": float(missed.sum()),
        "n_no_overlap": float((~overlaps & ~missed).sum()),
        "miou": float(miou.mean()),
        "mpa": float(mpa.mean()),
    }


def _classification(cases: pd.DataFrame, classes: Sequence[str]) -> dict[str, float]:
    """Metrics of the class; all NaN for a network without classes."""
    if cases["predicted"].isna().any():
        return dict.fromkeys(metric_names(classes, "classes"), math.nan)
    truth = cases["label"].to_numpy(dtype=np.int64) - 1
    predicted = cases["predicted"].to_numpy(dtype=np.int64) - 1
    confusion = classification.confusion_matrix(truth, predicted, len(classes))
    scores = cases[list(class_columns(classes))].to_numpy(dtype=np.float64)
    folds = cases["fold"].to_numpy()
    auc = classification.one_vs_rest_auc(truth, scores, folds)
    rounded = classification.one_vs_rest_auc(truth, np.round(scores, SCORE_DECIMALS), folds)
    return {
        "acc": classification.accuracy(confusion),
        "rec": classification.macro_recall(confusion),
        "pre": classification.macro_precision(confusion),
        "f1": classification.f1(confusion),
        **{f"auc_{name}": value for name, value in zip(classes, auc, strict=True)},
        "auc_macro": sum(auc) / len(auc),
        **{f"auc_{name}_released": value for name, value in zip(classes, rounded, strict=True)},
    }


def _mean(seeds: list[Values]) -> Values:
    """Mean of every metric over the seeds; None where a seed lacks it."""
    means: dict[str, float | None] = {}
    for name in seeds[0]:
        values = [value for seed in seeds if (value := seed[name]) is not None]
        means[name] = sum(values) / len(values) if len(values) == len(seeds) else None
    return means
