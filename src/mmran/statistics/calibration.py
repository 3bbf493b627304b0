"""calibration.csv and reliability.csv: how well class probabilities match the share of right predictions."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmran.evaluation.predictions import class_columns, classes_of
from mmran.metrics import calibration
from mmran.statistics.rows import Row


@dataclass(frozen=True)
class Calibration:
    """Calibration of a row: means over its seeds; `slope` is None if no finite one fits best."""

    row: str
    experiment: str
    protocol: str
    ece: float
    brier: float
    log_loss: float
    slope: float | None
    n_slices: int
    n_seeds: int
    cases: str


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of a reliability diagram, of one seed."""

    row: str
    experiment: str
    protocol: str
    seed: int
    bin: int
    n: int
    confidence: float
    accuracy: float
    cases: str


def calibrations(rows: Sequence[Row]) -> list[Calibration]:
    """Measure every row that classifies."""
    return [_calibration(row) for row in rows if row.cases["predicted"].notna().all()]


def _calibration(row: Row) -> Calibration:
    def mean(measure: Callable[[NDArray[np.int64], NDArray[np.float64]], float]) -> float:
        return float(np.mean([measure(*_scores(cases)) for cases in row.seeds]))

    found = mean(calibration.slope)
    return Calibration(
        **row.origin,
        ece=mean(lambda truth, p: calibration.expected_calibration_error(calibration.reliability(truth, p))),
        brier=mean(calibration.brier),
        log_loss=mean(calibration.log_loss),
        slope=None if math.isnan(found) else found,
        n_slices=len(row.seeds[0]),
        n_seeds=len(row.seeds),
    )


def reliability_bins(rows: Sequence[Row]) -> list[ReliabilityBin]:
    """The bins of every row that classifies, seed by seed."""
    return [
        ReliabilityBin(row.label, row.experiment, row.protocol, int(cases["seed"].iloc[0]), i, *one, row.digest)
        for row in rows
        if row.cases["predicted"].notna().all()
        for cases in row.seeds
        for i, one in enumerate(calibration.reliability(*_scores(cases)))
    ]


def _scores(cases: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    truth = cases["label"].to_numpy(dtype=np.int64) - 1
    return truth, cases[list(class_columns(classes_of(cases)))].to_numpy(dtype=np.float64)
