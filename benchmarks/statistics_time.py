"""How long all statistics of a full-size run take: `python benchmarks/statistics_time.py`.

Simulates the test slices of protocol `patient`, 3,064 of 209 families in five folds, for 23 experiments, and runs what
`mmran compare` runs: intervals, paired tests, classes, strata, calibration, and claims. Goal: 90 s on one core.
"""

import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from mmran.config.claims import Claim
from mmran.data.published import CLASSES
from mmran.evaluation.cases import typed_cases
from mmran.evaluation.predictions import class_columns
from mmran.files import sha256_text
from mmran.statistics.collection import Statistics
from mmran.statistics.rows import Row

N_SLICES, N_FAMILIES, N_ROWS, N_FOLDS = 3064, 209, 23, 5
METRICS = (
    *("dice", "acc", "hd95_mm", "miou", "mpa", "rec", "pre", "f1"),
    *("auc_meningioma", "auc_glioma", "auc_pituitary", "auc_macro"),
    *("dice_released", "miou_released", "mpa_released"),
    *("auc_meningioma_released", "auc_glioma_released", "auc_pituitary_released"),
)


def simulated(name: str, random: np.random.Generator) -> Row:
    """One experiment: the layout is the same for all, the values are not."""
    layout = np.random.default_rng(1029)
    family = np.sort(np.concatenate([np.arange(N_FAMILIES), layout.integers(0, N_FAMILIES, N_SLICES - N_FAMILIES)]))
    label = family % 3 + 1
    effect = random.normal(0, 0.15, N_FAMILIES)[family]
    dice = np.clip(0.7 + effect + random.normal(0, 0.1, N_SLICES), 0, 1)
    scores = random.dirichlet((1, 1, 1), N_SLICES) + 0.8 * np.eye(3)[label - 1]
    scores /= scores.sum(axis=1, keepdims=True)
    values = dict.fromkeys(("dice", "soft_dice", "nsd_2mm", "iou_tumor", "recall_tumor", "dice_released"), dice)
    values |= dict.fromkeys(("miou_released", "mpa_released"), dice)
    values |= {"iou_background": 0.99, "recall_background": 0.99, "missed": 0, "overlaps": (dice > 0).astype(int)}
    values |= {"hd95_mm": random.gamma(2, 4, N_SLICES), "assd_mm": random.gamma(2, 1, N_SLICES)}
    frame = pd.DataFrame(
        {
            **{"experiment": name, "protocol": "patient", "variant": "raw", "seed": 1029, "fold": family % N_FOLDS},
            **{"slice": np.arange(1, N_SLICES + 1), "label": label, "predicted": scores.argmax(axis=1) + 1},
            **{"pid": family.astype(str), "family": [f"F{place:03}" for place in family]},
            **{"tumor_mm2": 1000.0, "image_mm2": 62941.0, "size_tertile": layout.integers(1, 4, N_SLICES)},
            **dict(zip(class_columns(CLASSES), scores.T, strict=True)),
            **values,
        }
    )
    return Row(name, name, "patient", "raw", sha256_text(name), typed_cases(frame, CLASSES))


def main() -> None:
    random = np.random.default_rng(5)
    rows = [simulated(f"row{i}", random) for i in range(N_ROWS)]
    claims = [
        Claim("best", "row0", other.label, metric) for other in rows[1:] for metric in ("dice", "acc", "hd95_mm", "f1")
    ]
    began, cpu = time.perf_counter(), time.process_time()
    Statistics.of(rows, rows[0], METRICS, claims)
    print(
        f"{N_ROWS} rows of {N_SLICES} slices, {len(METRICS)} metrics, {len(claims)} claims: "
        f"{time.process_time() - cpu:.0f} s of CPU, {time.perf_counter() - began:.0f} s by the clock"
    )


if __name__ == "__main__":
    main()
