"""run.json, the record of one training, and runs.json, the list of them that a `train` job publishes."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmran.errors import UserError
from mmran.files import read_json, write_json
from mmran.networks.published_names import EncoderReport


@dataclass(frozen=True)
class Machine:
    """What a training or a prediction computed on.

    Attributes:
        device: cpu or cuda.
        device_name: model of the processor or GPU.
        precision: of the forward passes: float32, bfloat16 or float16.
        threads: CPU threads of one operation.
        tf32: whether float32 convolutions rounded their inputs to TF32, the default of GPUs since Ampere.
    """

    device: str
    device_name: str
    precision: str
    threads: int
    tf32: bool = False


@dataclass(frozen=True)
class RunRecord:
    """One finished training; `run.json` holds it as flat JSON.

    Attributes:
        digest: of everything that decides the weights; see `Trial.digest`.
        experiment: name of the experiment.
        seed: seed of the trial.
        fold: fold of the split.
        data: digest of the slices.
        split: digest of the fold's rows.
        epochs: number of epochs trained.
        best_epoch: epoch of the whole training, from 0, with the highest validation score of the last stage.
        best_score: that score, 0 to 1.
        evaluated: which weights are kept: those of the best or of the last epoch.
        accumulate: number of micro-batches per step, as configured.
        seconds: training time, interruptions excluded.
        images_per_s: median over the epochs, validation excluded.
        peak_memory_mb: peak memory in MiB, of tensors on a GPU, else of the process.
        weights_sha256: SHA-256 of weights.safetensors.
        history_sha256: SHA-256 of history.csv.
        mask_prior: tumor probability that the masks started at; null for torch's own start.
        encoder: what the encoder took from `network.encoder_weights`; null if it started at random.
        versions: versions of mmran, torch and Python.
        device, device_name, precision, threads, tf32: see `Machine`; of the last epoch.
        mixed_compute: whether epochs were computed on different devices, precisions or thread counts; history.csv
            names those of every epoch.
    """

    digest: str
    experiment: str
    seed: int
    fold: int
    data: str
    split: str
    epochs: int
    best_epoch: int
    best_score: float
    evaluated: str
    accumulate: int
    seconds: float
    images_per_s: float
    peak_memory_mb: float
    weights_sha256: str
    history_sha256: str
    device: str
    device_name: str
    precision: str
    threads: int
    tf32: bool = False
    mixed_compute: bool = False
    mask_prior: float | None = None
    encoder: EncoderReport | None = None
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def trial(self) -> str:
        """Name of the trial within its experiment."""
        return trial_name(self.seed, self.fold)

    def to_values(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"trial": self.trial, **dataclasses.asdict(self)}

    @classmethod
    def from_values(cls, values: Any) -> "RunRecord":
        """Build a record from `to_values`.

        Raises:
            ValueError: a key is missing, unknown or of the wrong type.
        """
        if not isinstance(values, dict):
            raise ValueError("not a mapping")
        values = {key: value for key, value in values.items() if key != "trial"}
        if isinstance(values.get("encoder"), dict):
            values["encoder"] = EncoderReport.from_values(values["encoder"])
        known = {field.name: field for field in dataclasses.fields(cls)}
        missing = [name for name, field in known.items() if name not in values and _is_required(field)]
        unknown = sorted(values.keys() - known.keys())
        if missing or unknown:
            raise ValueError(f"lacks {missing[0]!r}" if missing else f"unknown key {unknown[0]!r}")
        for name, value in values.items():
            if not isinstance(value, _TYPES[name]) or (isinstance(value, bool) and bool not in _TYPES[name]):
                raise ValueError(f"{name}: {value!r} is not of type {_TYPES[name][0].__name__}")
        return cls(**values)

    def write(self, path: Path) -> None:
        """Write run.json."""
        write_json(path, self.to_values())

    @classmethod
    def read(cls, path: Path) -> "RunRecord":
        """Read run.json.

        Raises:
            UserError: the file is missing, damaged or not a record.
        """
        values = read_json(path)
        try:
            return cls.from_values(values)
        except ValueError as error:
            raise _not_a_record(path, error) from error


def write_runs(path: Path, records: Sequence[RunRecord]) -> None:
    """Write runs.json."""
    write_json(path, [record.to_values() for record in records])


def read_runs(path: Path) -> list[RunRecord]:
    """Read runs.json.

    Raises:
        UserError: the file is missing, damaged, empty or not a list of records.
    """
    values = read_json(path)
    try:
        if not isinstance(values, list) or not values:
            raise ValueError("not a list of records")
        return [RunRecord.from_values(entry) for entry in values]
    except ValueError as error:
        raise _not_a_record(path, error) from error


def trial_name(seed: int, fold: int) -> str:
    """Name of a trial within its experiment."""
    return f"seed{seed}-fold{fold}"


def _not_a_record(path: Path, error: ValueError) -> UserError:
    return UserError(f"{path}: not the record of a training ({error}); delete it and run `mmran train` again")


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _types(annotation: Any) -> tuple[type, ...]:
    if annotation is float:
        return float, int
    if annotation == float | None:
        return float, int, type(None)
    if annotation == EncoderReport | None:
        return EncoderReport, type(None)
    return (dict,) if annotation == dict[str, str] else (annotation,)


_TYPES = {field.name: _types(field.type) for field in dataclasses.fields(RunRecord)}
