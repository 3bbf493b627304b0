"""inference.json: what the prediction of each trial cost, and on which machine."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmran.errors import UserError
from mmran.files import read_json, write_json


@dataclass(frozen=True)
class InferenceRecord:
    """Cost of predicting the test slices of one trial.

    Attributes:
        trial: name of the trial, such as "seed1029-fold0".
        images: number of test slices.
        images_per_s: median over the batches.
        peak_memory_mb: of tensors on a GPU, of the whole process on a CPU; MiB.
        device: "cpu" or "cuda".
        device_name: the processor or the card.
        precision: type that the network computes in, such as "float32".
        threads: CPU threads.
        tf32: whether float32 convolutions rounded their inputs to TF32.
    """

    trial: str
    images: int
    images_per_s: float
    peak_memory_mb: float
    device: str
    device_name: str
    precision: str
    threads: int
    tf32: bool = False


def write_inference(path: Path, records: Sequence[InferenceRecord]) -> None:
    """Write the records of all trials of an experiment."""
    write_json(path, [dataclasses.asdict(record) for record in records])


def read_inference(path: Path) -> list[InferenceRecord]:
    """Read the records of all trials of an experiment.

    Raises:
        UserError: the file is absent, empty or something else.
    """
    values = read_json(path)
    try:
        records = [InferenceRecord(**value) for value in values]
    except TypeError as error:
        raise UserError(f"{path}: not a record of predictions ({error}); run `mmran predict` again") from error
    if not records:
        raise UserError(f"{path}: names no trial, expected at least one; run `mmran predict` again")
    return records
