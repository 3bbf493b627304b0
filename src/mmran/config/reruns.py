"""Which jobs would rerun, and why: the one answer behind Snakemake, `mmran why` and `mmran plan`."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmran.config.accepted import KnownDigests, read_acceptances
from mmran.config.configuration import Config
from mmran.config.job import Job
from mmran.config.jobs import plan_jobs, plan_models, plan_search
from mmran.config.made import Made
from mmran.config.source_files import Files
from mmran.config.tables import NEAREST

SHOWN = ("verify", "table", "figure", "compare", "overview")
"""Stages that a run without a target requests."""


@dataclass(frozen=True)
class Verdict:
    """Every job of a configuration against the records of its results.

    Attributes:
        jobs: name -> job, each after those whose results it reads.
        reasons: name -> why the job must run; a job whose results match the configuration and the code is absent.
            A job that reads from one with reasons has reasons too.
        code_alone: name -> modules, for jobs in which only the source differs.
        absent: jobs with a missing file.
    """

    jobs: Mapping[str, Job]
    reasons: Mapping[str, list[str]]
    code_alone: Mapping[str, list[str]]
    absent: frozenset[str]

    def would_run(self) -> list[str]:
        """Jobs that `snakemake` without a target runs, in order.

        A job without reasons runs if one of its files is missing and something needs it: a run without a target, or
        a job that runs. Every job that reads from it then runs too.
        """
        running = set(self.reasons) | {name for name in self.absent if self.jobs[name].stage in SHOWN}
        readers: dict[str, list[str]] = {name: [] for name in self.jobs}
        for name, job in self.jobs.items():
            for other in job.inputs:
                readers[other].append(name)
        todo = list(running)
        while todo:
            name = todo.pop()
            needed = [other for other in self.jobs[name].inputs if other in self.absent]
            follow = readers[name] if name in self.absent else []
            fresh = [other for other in (*needed, *follow) if other not in running]
            running.update(fresh)
            todo += fresh
        return [name for name in self.jobs if name in running]

    def counts(self) -> dict[str, int]:
        """Rule -> jobs that would run."""
        return dict(Counter(self.jobs[name].stage for name in self.would_run()))


def judge(config: Config, *, all_targets: bool = False) -> Verdict:
    """Compare every job of a configuration with what its results record.

    Args:
        config: the configuration.
        all_targets: judge the jobs of `snakemake search` and `snakemake models` too.

    Raises:
        UserError: the source, or a csv of a protocol, cannot be read; the acceptances are damaged.
    """
    results = config.results
    known = KnownDigests(read_acceptances(results))
    jobs = plan_jobs(config, known)
    if all_targets:
        jobs |= plan_models(config, known)
    if all_targets and config.search:
        jobs |= plan_search(config, known)
    reasons, code_alone = {}, {}
    for name, job in jobs.items():
        made = Made.read(results, name)
        found = _reasons(results, job, made, known(job))
        found = found or [f"follows {other}" for other in job.inputs if other in reasons]
        if found:
            reasons[name] = found
        if found and made and made.job.values == job.values and made.job.code != job.code:
            code_alone[name] = changed_modules(made.job, job)
    absent = {name for name, job in jobs.items() if not all((results / path).exists() for path in job.outputs)}
    return Verdict(jobs, reasons, code_alone, frozenset(absent))


def record_times(results: Path, verdict: Verdict) -> None:
    """Record the times that unchanged files have now, so that copied or touched files are read only once.

    Call it when a run holds the lock.
    """
    for name in verdict.jobs.keys() - verdict.reasons.keys():
        made = Made.read(results, name)
        if made is not None and (fresh := made.with_times_as_now(results)) != made:
            fresh.write(results)


def _reasons(results: Path, job: Job, made: Made | None, expected: str) -> list[str]:
    if made is None:
        there = any((results / path).exists() for path in job.outputs)
        return ["its results have no record of what they were made from" if there else "never run"]
    edited = [f"{path} {what}" for path, what in made.changed_files(results).items()]
    if made.job.digest == expected:
        return edited
    old, new = dict(made.job.values), dict(job.values)
    lines = _changed_source(old.pop("files", {}), new.pop("files", {}))
    lines += [f"{key}: {before} -> {now}" for key, before, now in _differences(old, new)]
    lines += [f"the source of {module} changed" for module in changed_modules(made.job, job)]
    inputs = made.job.inputs.keys() | job.inputs.keys()
    changed = sorted(one for one in inputs if made.job.inputs.get(one) != job.inputs.get(one))
    return [*edited, *lines, *(f"follows {one}" for one in changed)]


def _changed_source(before: Files, now: Files) -> list[str]:
    """What happened to the files of a source: one line for each kind of change, with the first file."""
    old = {(place, path): known for place, files in before.items() for path, known in files.items()}
    new = {(place, path): known for place, files in now.items() for path, known in files.items()}
    both = old.keys() & new.keys()
    kinds = {
        "removed": old.keys() - new.keys(),
        "added": new.keys() - old.keys(),
        "of another size": {one for one in both if old[one][0] != new[one][0]},
        "edited": {one for one in both if old[one][0] == new[one][0] and old[one] != new[one]},
    }
    lines = []
    for kind, found in kinds.items():
        if found:
            first, *others = sorted(found)
            more = f" and {len(others)} other{'s' * (len(others) > 1)}" if others else ""
            lines.append(f"source: {Path(*first)}{more}: {kind}")
    return lines


def changed_modules(recorded: Job, present: Job) -> list[str]:
    """Modules whose source has changed since the results were made."""
    names = recorded.code.keys() | present.code.keys()
    return sorted(name for name in names if recorded.code.get(name) != present.code.get(name))


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Keys of which the values differ, in dotted form."""
    old, new = _flat(before), _flat(now)
    keys = sorted(old.keys() | new.keys())
    return [(key, old.get(key, "absent"), new.get(key, "absent")) for key in keys if old.get(key) != new.get(key)]


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(values, Mapping) and values:
        pairs: Iterable[tuple[str, Any]] = values.items()
    elif isinstance(values, list) and any(isinstance(one, Mapping) for one in values):
        pairs = ((str(i), one) for i, one in enumerate(values, start=1))
    else:
        return {prefix.removesuffix("."): values}
    flat: dict[str, Any] = {}
    for key, value in pairs:
        flat |= _flat(value, f"{prefix}{key}.")
    return flat


def why(config: Config, name: str) -> list[str]:
    """What would rerun for an experiment, and why; one line each.

    Raises:
        UserError: there is no such experiment.
    """
    name = config.experiment_name(name)
    verdict = judge(config)
    running = verdict.would_run()
    lines = []
    for protocol in config.protocols:
        last = f"nearest_slice/{protocol}" if name == NEAREST else f"evaluate/{name}/{protocol}"
        chain = _upstream(verdict.jobs, last)
        for job in (one for one in running if one in chain):
            lines += [f"{job}: {reason}" for reason in verdict.reasons.get(job, ["one of its files is missing"])]
    return list(dict.fromkeys(lines))


def _upstream(jobs: Mapping[str, Job], name: str) -> set[str]:
    found, todo = set(), [name]
    while todo:
        one = todo.pop()
        if one not in found and one in jobs:
            found.add(one)
            todo += jobs[one].inputs
    return found
