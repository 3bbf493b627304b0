"""What tables and figures share: an experiment's results, and the refusal to mix what does not belong together."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmran.config.accepted import accepted_spec
from mmran.errors import UserError
from mmran.files import read_json, sha256_file


def read_summary(results: Path, experiment: str, protocol: str) -> dict[str, Any]:
    """Read the summary of one experiment under one protocol.

    Raises:
        UserError: it is absent, is another experiment's, or was not made from the cases.csv beside it.
    """
    path = results / "experiments" / experiment / protocol / "summary.json"
    cases_path = path.with_name("cases.csv")
    if not path.is_file():
        raise UserError(f"{path}: no such file; evaluate {experiment} under protocol {protocol} first")
    summary = read_json(path)
    try:
        found = (summary["experiment"], summary["protocol"])
        digest = summary["digests"]["cases"]
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: not a summary (lacks {error}); run `mmran evaluate` again") from error
    if found != (experiment, protocol):
        raise UserError(f"{path}: is of {found[0]} under {found[1]}, expected {experiment} under {protocol}")
    if not cases_path.is_file() or sha256_file(cases_path) != digest:
        raise UserError(f"{path}: not made from {cases_path} as it is now; run `mmran evaluate` again")
    return summary


def read_costs(results: Path, experiment: str, protocol: str) -> dict[str, Any]:
    """What the trainings and predictions of one experiment cost on the machine that ran them.

    Returns:
        train_images_per_s and predict_images_per_s (medians over trials), train_peak_mb and predict_peak_mb (maxima),
        and machine, a text.

    Raises:
        UserError: it was not trained or predicted.
    """
    folder = results / "experiments" / experiment / protocol
    costs: dict[str, Any] = {}
    for stage, name in (("train", "runs.json"), ("predict", "inference.json")):
        trials = read_json(folder / name)
        costs[f"{stage}_images_per_s"] = statistics.median(trial["images_per_s"] for trial in trials)
        costs[f"{stage}_peak_mb"] = max(trial["peak_memory_mb"] for trial in trials)
        costs["machine"] = f"{trials[0]['device_name']}, {trials[0]['precision']}"
        if trials[0]["device"] == "cpu":
            costs["machine"] += f", threads: {trials[0]['threads']}"
    return costs


def spec_digest(results: Path, experiment: str, protocol: str) -> str:
    """SHA-256 of the specification that an experiment's results must have: the present one, or one that was accepted.

    Raises:
        UserError: there is none.
    """
    if (accepted := accepted_spec(results, experiment, protocol)) is not None:
        return accepted
    path = results / "specs" / "experiments" / f"{experiment}.json"
    if not path.is_file():
        raise UserError(f"{path}: no such file, expected {experiment}'s specification; the workflow writes it")
    return sha256_file(path)


def refuse_mixing(where: str, summaries: Mapping[str, Mapping[str, Any]], expected_specs: Mapping[str, str]) -> None:
    """Refuse to put results side by side that do not belong together.

    Args:
        where: what they were to stand in, such as "table table1".
        summaries: experiment -> its summary, at least one.
        expected_specs: experiment -> SHA-256 of its specification as it is now.

    Raises:
        UserError: two were measured on other slices or another split, or one under an outdated specification.
    """
    first_name, first = next(iter(summaries.items()))
    for name, summary in summaries.items():
        digests = summary["digests"]
        for what in ("data", "split"):
            if digests[what] != first["digests"][what]:
                raise UserError(
                    f"{where}: {first_name} and {name} differ in the digest of their {what} "
                    f"({first['digests'][what][:12]}, {digests[what][:12]}); evaluate both on the same {what}"
                )
        expected = expected_specs.get(name)
        if digests["spec"] != expected:
            raise UserError(
                f"{where}: {name} was measured under specification {digests['spec'][:12]}, but its "
                f"specification is now {(expected or 'absent')[:12]}; train and evaluate {name} again"
            )
