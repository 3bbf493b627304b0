"""Test sets made up for the tests: families of a few slices, with measurements that resemble each other."""

from pathlib import Path

import numpy as np
import pandas as pd

from mmran.data.published import CLASSES
from mmran.evaluation.cases import typed_cases, write_cases
from mmran.evaluation.predictions import class_columns
from mmran.evaluation.summary import Summary
from mmran.files import sha256_file, sha256_text
from mmran.metrics.custom import CustomMetrics
from mmran.statistics.rows import Row


def cases(
    n_families: int = 30, seeds: tuple[int, ...] = (1,), folds: int = 2, draw: int = 0, name: str = "net"
) -> pd.DataFrame:
    """One row per slice and seed; the families, classes and folds are the same for every draw."""
    frames = [_of_seed(n_families, seed, folds, draw) for seed in seeds]
    found = pd.concat(frames, ignore_index=True).assign(experiment=name, protocol="paper", variant="raw")
    return typed_cases(found, CLASSES)


def _of_seed(n_families: int, seed: int, folds: int, draw: int) -> pd.DataFrame:
    layout = np.random.default_rng(99)
    sizes = layout.integers(1, 6, size=n_families)
    family = np.repeat(np.arange(n_families), sizes)
    n = family.size
    random = np.random.default_rng([draw, seed])
    label = family % 3 + 1
    effect = random.normal(0, 0.15, n_families)[family]
    dice = np.clip(0.7 + effect + random.normal(0, 0.1, n), 0, 1)
    dice[random.random(n) < 0.1] = 0
    missed = (dice == 0) & (random.random(n) < 0.5)
    scores = np.round(random.dirichlet((1, 1, 1), n) + 0.6 * np.eye(3)[label - 1], 2)  # rounded: some tie
    scores /= scores.sum(axis=1, keepdims=True)
    return pd.DataFrame(
        {
            "seed": seed,
            "fold": family // 3 % folds,
            "slice": np.arange(1, n + 1),
            "pid": [f"{'MR' if place % 6 == 1 else ''}{place}" for place in family],
            "family": [f"F{place:03}" for place in family],
            "label": label,
            "tumor_mm2": layout.uniform(10, 500, n),
            "image_mm2": 62941.0,
            "size_tertile": layout.integers(1, 4, n),
            "dice": dice,
            "soft_dice": dice * 0.9,
            "dice_released": dice * 0.9,
            "miou_released": 0.5 + dice / 3,
            "mpa_released": 0.6 + dice / 3,
            "hd95_mm": np.where(missed, 300, np.round(random.gamma(2, 4, n))),
            "assd_mm": random.gamma(2, 1, n),
            "nsd_2mm": random.random(n),
            "missed": missed.astype(int),
            "overlaps": (dice > 0).astype(int),
            "iou_background": 0.99,
            "iou_tumor": dice / (2 - dice),
            "recall_background": 0.995,
            "recall_tumor": dice,
            **dict(zip(class_columns(CLASSES), scores.T, strict=True)),
            "predicted": scores.argmax(axis=1) + 1,
        }
    )


def row(frame: pd.DataFrame, label: str = "net") -> Row:
    return Row(label, str(frame["experiment"].iloc[0]), "paper", "raw", sha256_text(label), frame)


def sample(label: str = "net", **options) -> Row:
    return row(cases(name=label, **options), label)


def publish(folder: Path, frame: pd.DataFrame, custom: CustomMetrics | None = None) -> Path:
    """Write cases.csv and summary.json as `evaluate` does; return the folder."""
    write_cases(folder / "cases.csv", frame)
    digests = dict.fromkeys(("spec", "data", "split", "predictions"), "d" * 64)
    digests["cases"] = sha256_file(folder / "cases.csv")
    Summary.of(frame, digests, {}, custom).write(folder / "summary.json")
    return folder
