"""What tables and figures share: reading an experiment's results, and refusing results that do not belong together."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmran.config.accepted import accepted_spec
from mmran.config.tables import NEAREST
from mmran.errors import UserError
from mmran.evaluation.record import InferenceRecord, read_inference
from mmran.evaluation.summary import Summary
from mmran.files import sha256_file, sha256_text
from mmran.statistics.nearest_spec import specification
from mmran.training.record import RunRecord, read_runs


def read_summary(results: Path, experiment: str, protocol: str) -> Summary:
    """Read the summary of one experiment under one protocol.

    Raises:
        UserError: it is absent, is another experiment's, or does not follow from its cases.csv.
    """
    path = results / "experiments" / experiment / protocol / "summary.json"
    if not path.is_file():
        raise UserError(f"{path}: no such file; evaluate {experiment} under protocol {protocol} first")
    summary = Summary.read(path)
    found = (summary.experiment, summary.protocol)
    if found != (experiment, protocol):
        raise UserError(f"{path}: is of {found[0]} under {found[1]}, expected {experiment} under {protocol}")
    return summary


@dataclass(frozen=True)
class Costs:
    """What the trainings and predictions of one experiment cost on the machine that ran them.

    Attributes:
        train_images_per_s, predict_images_per_s: medians over the trials.
        train_peak_mb, predict_peak_mb: maxima over the trials, in MiB.
        machine: device, precision and, on a CPU, threads.
    """

    train_images_per_s: float
    train_peak_mb: float
    predict_images_per_s: float
    predict_peak_mb: float
    machine: str


def read_costs(results: Path, experiment: str, protocol: str) -> Costs:
    """Read what one experiment cost.

    Raises:
        UserError: it was not trained or predicted.
    """
    folder = results / "experiments" / experiment / protocol
    runs, predictions = read_runs(folder / "runs.json"), read_inference(folder / "inference.json")
    return Costs(
        train_images_per_s=statistics.median(run.images_per_s for run in runs),
        train_peak_mb=max(run.peak_memory_mb for run in runs),
        predict_images_per_s=statistics.median(record.images_per_s for record in predictions),
        predict_peak_mb=max(record.peak_memory_mb for record in predictions),
        machine=machine_name(predictions[0]),
    )


def machine_name(record: RunRecord | InferenceRecord) -> str:
    """What a trial ran on: "NVIDIA H100, bfloat16", or "AMD EPYC, float32, threads: 2"."""
    threads = f", threads: {record.threads}" if record.device == "cpu" else ""
    return f"{record.device_name}, {record.precision}{threads}"


def spec_digest(results: Path, experiment: str, protocol: str) -> str:
    """SHA-256 of the specification that an experiment's results must have: the present one, or one that was accepted.

    Raises:
        UserError: there is none.
    """
    if experiment == NEAREST:
        return sha256_text(specification())
    if (accepted := accepted_spec(results, experiment, protocol)) is not None:
        return accepted
    path = results / "specs" / "experiments" / f"{experiment}.json"
    if not path.is_file():
        raise UserError(f"{path}: no such file, expected {experiment}'s specification; the workflow writes it")
    return sha256_file(path)


def refuse_mixing(where: str, summaries: Mapping[str, Summary], expected_specs: Mapping[str, str]) -> None:
    """Refuse to combine results that do not belong together.

    Args:
        where: what would show them, such as "table table1".
        summaries: experiment -> its summary, at least one.
        expected_specs: experiment -> SHA-256 of its specification as it is now.

    Raises:
        UserError: two were measured on other slices or another split, or one under an outdated specification.
    """
    first_name, first = next(iter(summaries.items()))
    for name, summary in summaries.items():
        digests = summary.digests
        for what in ("data", "split"):
            if digests[what] != first.digests[what]:
                raise UserError(
                    f"{where}: {first_name} and {name} differ in the digest of their {what} "
                    f"({first.digests[what][:12]}, {digests[what][:12]}); evaluate both on the same {what}"
                )
        expected = expected_specs.get(name)
        if digests["spec"] != expected:
            raise UserError(
                f"{where}: {name} was measured under specification {digests['spec'][:12]}, but its "
                f"specification is now {(expected or 'absent')[:12]}; train and evaluate {name} again"
            )
