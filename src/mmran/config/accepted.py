"""Results that a user accepts as valid for the present code, with the reason: `results/accepted.json`.

An upgrade changes digests of code even if it changes no result. An acceptance says so for one job: its recorded digest
counts as the present one until either changes again.
"""

import dataclasses
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmran.config.configuration import Config
from mmran.config.job import Job
from mmran.config.jobs import plan_jobs
from mmran.config.made import Made
from mmran.config.tables import NEAREST
from mmran.errors import UserError
from mmran.files import read_json, sha256_file, write_json

# Tables and figures take seconds: they rerun, and print the note.
_SHOWN = ("table", "figure", "networks", "compare", "overview", "search_report")


@dataclass(frozen=True)
class Acceptance:
    """One job whose results stay valid although its code has changed.

    Attributes:
        job: its name, such as "train/se/paper".
        recorded, present: digest of the job that made the results, and the one that they are accepted under.
        modules: those whose source differs.
        because: the reason that the user gave.
        date: the day, as in 2026-11-25.
        spec: SHA-256 of the spec.json that a training recorded; "" for other jobs.
    """

    job: str
    recorded: str
    present: str
    modules: tuple[str, ...]
    because: str
    date: str
    spec: str = ""


def acceptances_path(results: Path) -> Path:
    """Path of the acceptances in a folder of results."""
    return results / "accepted.json"


def read_acceptances(results: Path) -> tuple[Acceptance, ...]:
    """All acceptances, the latest last.

    Raises:
        UserError: the file is damaged.
    """
    path = acceptances_path(results)
    if not path.exists():
        return ()
    try:
        return tuple(Acceptance(**{**values, "modules": tuple(values["modules"])}) for values in read_json(path))
    except (TypeError, KeyError) as error:
        raise UserError(
            f"{path}: not a list of acceptances ({error}); restore it, or remove it and run `mmran accept` again"
        ) from error


def in_effect(results: Path, experiment: str, protocol: str) -> tuple[Acceptance, ...]:
    """The acceptances behind an experiment's present results, for the notes of tables and figures."""
    jobs = {f"{stage}/{experiment}/{protocol}" for stage in ("train", "predict", "evaluate")}
    jobs |= {"phantom", "convert", f"split/{protocol}"} | (
        {f"nearest_slice/{protocol}"} if experiment == NEAREST else set()
    )
    found: dict[str, Acceptance] = {}
    for one in read_acceptances(results):
        made = Made.read(results, one.job) if one.job in jobs else None
        if made is not None and made.job.digest == one.recorded:
            found[one.job] = one
    return tuple(found.values())


def accepted_spec(results: Path, experiment: str, protocol: str) -> str | None:
    """SHA-256 of the specification that an accepted training recorded; None where none is accepted."""
    train = f"train/{experiment}/{protocol}"
    return next((one.spec for one in in_effect(results, experiment, protocol) if one.job == train), None)


class KnownDigests:
    """The digest under which dependent jobs record a job: the recorded one if it was accepted, else its own."""

    def __init__(self, acceptances: Sequence[Acceptance]) -> None:
        self._recorded = {(one.job, one.present): one.recorded for one in acceptances}

    def __call__(self, job: Job) -> str:
        """The digest of one job."""
        return self._recorded.get((job.name, job.digest), job.digest)


def accept(config: Config, experiment: str | None, because: str) -> list[Acceptance]:
    """Accept the results of one experiment, or of all, for the present code.

    Args:
        config: the configuration.
        experiment: its name; None for every result.
        because: the reason, which tables print.

    Returns:
        The new acceptances, which are also written into the results.

    Raises:
        UserError: no reason, no such experiment or result, or something besides the code differs.
    """
    because = " ".join(because.split())
    if not because:
        raise UserError("--because: empty; explain briefly why the new code cannot change the results")
    name = None if experiment is None else config.experiment_name(experiment)
    before, added = read_acceptances(config.results), list[Acceptance]()
    known = KnownDigests(before)

    def digest_of(job: Job) -> str:
        made = Made.read(config.results, job.name)
        if made is None or not _concerns(job, name) or known(job) == made.job.digest:
            return known(job)
        if made.job.values != job.values or dict(made.job.inputs) != dict(job.inputs):
            if name is None:
                return job.digest
            raise UserError(
                f"{job.name}: something besides its code differs, so it must rerun; `mmran why {name}` says what"
            )
        added.append(_acceptance(config.results, made.job, job, because))
        return made.job.digest

    plan_jobs(config, digest_of)
    if name is not None:
        for protocol in config.protocols:
            if Made.read(config.results, f"train/{name}/{protocol}") is None:
                raise UserError(
                    f"{name}: no recorded training under protocol {protocol}, so there is nothing to accept"
                )
    if added:
        write_json(acceptances_path(config.results), [dataclasses.asdict(one) for one in _history(before, added)])
    return added


def _concerns(job: Job, experiment: str | None) -> bool:
    if job.stage in _SHOWN:
        return False
    parts = job.name.split("/")
    return experiment is None or parts[0] not in ("train", "predict", "evaluate") or parts[1] == experiment


def _acceptance(results: Path, recorded: Job, present: Job, because: str) -> Acceptance:
    names = recorded.code.keys() | present.code.keys()
    modules = tuple(sorted(one for one in names if recorded.code.get(one) != present.code.get(one)))
    spec = results / "experiments" / present.name.partition("/")[2] / "spec.json"
    digest = sha256_file(spec) if present.stage == "train" and spec.is_file() else ""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return Acceptance(present.name, recorded.digest, present.digest, modules, because, today, digest)


def _history(before: Sequence[Acceptance], added: Sequence[Acceptance]) -> list[Acceptance]:
    """The old acceptances and the new ones; a pair of digests that is accepted again appears once."""
    kept = [
        one
        for one in before
        if (one.job, one.recorded, one.present) not in {(a.job, a.recorded, a.present) for a in added}
    ]
    return [*kept, *added]
