"""Indexes of stores, made from patients."""

import pandas as pd

from mmran.data.pids import pid_family


def index_of(patients: list[tuple[str, int, int]]) -> pd.DataFrame:
    """An index of patients given as (pid, label, number of slices)."""
    rows = [(pid, label) for pid, label, n_slices in patients for _ in range(n_slices)]
    index = pd.DataFrame(rows, columns=["pid", "label"])
    index["slice"] = range(1, len(index) + 1)
    index["family"] = index["pid"].map(pid_family)
    return index
