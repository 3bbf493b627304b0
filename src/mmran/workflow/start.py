"""The start of a run: configuration -> verdict on every job -> specifications, and a copy of itself that jobs read.

Reading a Snakefile writes nothing. A run writes its decisions once it holds Snakemake's lock (`Run.begin`), so a dry
run, a report or a run that the lock refuses leaves the results untouched.
"""

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mmran.config.configuration import Config
from mmran.config.load import read_yaml
from mmran.config.made import job_json
from mmran.config.reruns import Verdict, judge, record_times
from mmran.config.source_files import absent
from mmran.config.specs import stage_texts
from mmran.config.typed import as_typed
from mmran.errors import UserError
from mmran.files import canonical_json, read_json, sha256_text, write_text_if_changed
from mmran.workflow import checkout, slurm
from mmran.workflow.conda import after_activation, check_conda
from mmran.workflow.feasible import check_measurable, check_trainable
from mmran.workflow.internals import require, tolerate_vanishing_files
from mmran.workflow.places import check_places, leave_paths_alone, refuse_storage, with_moved_results
from mmran.workflow.progress import TrainingLines
from mmran.workflow.specs_lock import hold_specs

# Names the copy of the configuration to the jobs of a run.
_RUN_CONFIG = "MMRAN_RUN_CONFIG"
_PACKAGE = Path(__file__).resolve().parents[1]


class Run:
    """One run of the workflow.

    Attributes:
        config: the checked configuration.
        results: its folder of results, as configured.
    """

    def __init__(self, workflow: Any, config: Config) -> None:
        self.config = config
        self.results = str(config.values["results"])
        self._workflow = workflow
        self._verdict: Verdict | None = None

    def wildcards(self) -> dict[str, str]:
        """Patterns that match the names of the configuration and nothing else."""
        names = {
            "experiment": self.config.experiments(),
            "protocol": self.config.protocols,
            "table": self.config.tables,
            "figure": self.config.figures,
        }
        return {wildcard: "|".join(map(re.escape, known)) or "none" for wildcard, known in names.items()}

    def shown(self, pattern: str, names: Iterable[str], suffixes: Iterable[str]) -> list[str]:
        """The files of tables or figures under every protocol."""
        return [
            f"{self.results}/{pattern.format(protocol=protocol, name=name)}.{suffix}"
            for protocol in self.config.protocols
            for name in names
            for suffix in suffixes
        ]

    def _before(self, onstart: Callable[[str], None], is_alone: Callable[[], None]) -> Callable[[str], None]:
        """Begin the run before the Snakefile's own `onstart:`; Snakemake ignores `onstart:` of a module."""

        def begin_and_start(log: str) -> None:
            is_alone()
            self.begin()
            onstart(log)

        return begin_and_start

    def begin(self) -> None:
        """Write what the jobs of this run read, once Snakemake holds its lock."""
        from snakemake.exceptions import WorkflowError

        try:
            if self._workflow.executor_plugin.name == "slurm":
                slurm.check(self.config)
            verdict = self._verdict or judge(self.config, all_targets=True)
            jobs = {f"jobs/{name}.json": canonical_json(job_json(job)) for name, job in verdict.jobs.items()}
            hold_specs(self.config.results, stage_texts(self.config) | jobs)
            record_times(self.config.results, verdict)
            self._freeze()
        except UserError as error:
            raise WorkflowError(str(error)) from None

    def _freeze(self) -> None:
        """Copy the configuration for jobs on other machines, which may start after config.yaml has changed."""
        text = canonical_json(self.config.values)
        path = self.config.results / ".work" / "configs" / f"{sha256_text(text)[:24]}.json"
        write_text_if_changed(path, text)
        os.environ[_RUN_CONFIG] = str(path.resolve())

    def is_stale(self, job: str) -> bool:
        """Whether a job must run; known when Snakemake asks for its inputs."""
        return self._verdict is not None and job in self._verdict.reasons

    def trains_here(self, experiment: str, protocol: str) -> bool:
        """Whether an experiment has to train and be evaluated here, as known when Snakemake asks for inputs."""
        if not (self._workflow.is_main_process and self._workflow.local_exec) or self._only_trains():
            return False
        return self._must_train(experiment, protocol)

    def _must_train(self, experiment: str, protocol: str) -> bool:
        job = f"train/{experiment}/{protocol}"
        return self._verdict is not None and (job in self._verdict.reasons or job in self._verdict.absent)

    def _only_trains(self) -> bool:
        """Whether all targets are of the search, which reads trainings and no evaluation."""
        dag = self._workflow.dag
        # A module may put a prefix before the names of rules.
        names = [f"_{rule.name}" for rule in dag.targetrules]
        folder = f"{self.results}/search/"
        return all(name.endswith("_search") for name in names) and all(
            str(file).startswith(folder) for file in dag.targetfiles
        )

    def _images(self) -> dict[tuple[str, str], float]:
        """Experiment and protocol of every training that could run, and the number of images that it trains on.

        A protocol whose split has not been made is absent.
        """
        from mmran.data.splits import read_split

        images: dict[tuple[str, str], float] = {}
        for protocol in self.config.protocols:
            split = self.config.results / "splits" / f"{protocol}.csv"
            if not split.is_file():
                continue
            rows = read_split(split)
            for name in self.config.experiments():
                if self._must_train(name, protocol):
                    experiment = self.config.resolve(name)
                    per_epoch = len(experiment.seeds) * int((rows["role"] == "train").sum())
                    images[name, protocol] = per_epoch * experiment.training.epochs
        return images

    def files_read_by(self, job: str) -> list[str]:
        """Every file of the jobs whose results a job reads; none before Snakemake asks for its inputs."""
        if self._verdict is None or job not in self._verdict.jobs:
            return []
        jobs = self._verdict.jobs
        return [f"{self.results}/{path}" for other in jobs[job].inputs for path in jobs[other].outputs]

    def rerun_by_records(self) -> None:
        """Make Snakemake run exactly the jobs whose results do not match this configuration and code.

        The records beside the results decide, not times or Snakemake's own records: those miss an archive of older date
        or a clock set back, and are lost with `.snakemake` or `cp -r`. Snakemake gets the jobs as if by `--forcerun`;
        the inputs of all other jobs are `ancient`, so only an absent file runs one of them.
        """
        from snakemake.exceptions import WorkflowError
        from snakemake.logging import logger
        from snakemake.settings.types import RerunTrigger

        workflow = self._workflow
        require(workflow, "_build_dag", "_onstart", "dag_settings", "execution_settings")
        build = workflow._build_dag

        def build_by_records() -> None:
            require(workflow.dag, "forcefiles", "targetrules", "targetfiles")
            executes = workflow.execution_settings is not None
            if executes and workflow.execution_settings.no_hooks and not workflow.dryrun:
                raise WorkflowError("--no-hooks: a run must write its specifications when it starts; remove it")
            try:
                self._verdict = judge(self.config, all_targets=True)
            except UserError as error:
                if executes:
                    raise WorkflowError(str(error)) from None
            else:
                stale = {f"{self.results}/records/{name}.json" for name in self._verdict.reasons}
                workflow.dag.forcefiles.update(stale)
                if executes:
                    _announce(self._verdict)
                    _check_source(self.config, self._verdict)
            if executes and workflow.dag_settings.rerun_triggers != RerunTrigger.all():
                logger.warning("--rerun-triggers is not used: records in the results decide what reruns (`mmran why`)")
            workflow.dag_settings.rerun_triggers = frozenset({RerunTrigger.MTIME})
            workflow._onstart = self._before(workflow._onstart, tolerate_vanishing_files())
            if executes and not workflow.dryrun:
                logger.addHandler(TrainingLines(self.config.results, self._images))
            build()

        workflow._build_dag = build_by_records


def start(workflow: Any, values: Mapping[str, Any]) -> Run:
    """Check the configuration and the machine, and make the jobs use this checkout.

    Args:
        workflow: Snakemake's workflow.
        values: its configuration.

    Raises:
        WorkflowError: a problem with the configuration, conda, or the way the workflow is used, in one line.
    """
    from snakemake.exceptions import WorkflowError

    try:
        return _start(workflow, values)
    except UserError as error:
        raise WorkflowError(str(error)) from None


def find_config() -> str:
    """The configuration of the working directory, else the paper's, which comes with the workflow.

    Returns:
        `config.yaml`, `config/config.yaml` as snakedeploy puts it, or the path of the paper's.
    """
    here = next((path for path in ("config.yaml", "config/config.yaml") if Path(path).is_file()), None)
    return here or str(_PACKAGE / "config" / "paper.yaml")


def _start(workflow: Any, values: Mapping[str, Any]) -> Run:
    checkout.use_in_jobs(str(_PACKAGE.parent))
    refuse_storage(workflow)
    uses_conda = "conda" in map(str, workflow.deployment_settings.deployment_method)
    if uses_conda:
        from snakemake.shell import shell

        shell.prefix(after_activation())
        if workflow.is_main_process:
            check_conda(workflow.deployment_settings.conda_prefix or ".snakemake")
    frozen = None if workflow.is_main_process else os.environ.get(_RUN_CONFIG)
    config = Config.checked(
        read_json(frozen) if frozen else with_moved_results(workflow, _as_written(workflow, values))
    )
    leave_paths_alone(workflow)
    config.require_source()
    check_places(config)
    if workflow.is_main_process:
        searched = [] if config.search is None else [config.search.experiment]
        check_trainable([*map(config.resolve, config.experiments()), *searched])
        check_measurable(config.custom_metrics, config.measuring_code("evaluate"))
    run = Run(workflow, config)
    if workflow.is_main_process:
        run.rerun_by_records()
    return run


def _as_written(workflow: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with its values as the user means them.

    Snakemake silently accepts duplicate keys in a file, and parses `--config` in its own way.
    """
    for path in workflow.configfiles:
        read_yaml(path)
    return as_typed(values, sys.argv)


def _check_source(config: Config, verdict: Verdict) -> None:
    """Refuse a run that must convert an absent source; warn if the slices are already converted."""
    from snakemake.exceptions import WorkflowError
    from snakemake.logging import logger

    missing = absent(config.source or ())
    if missing and ("convert" in verdict.reasons or "convert" in verdict.would_run()):
        raise WorkflowError(
            f"config: source: {missing[0]}: no such file or folder; expected a folder of N.mat files or zip archives"
        )
    if missing:
        logger.warning(f"source: {missing[0]} does not exist; using the slices that were converted from it")


def _announce(verdict: Verdict) -> None:
    """Warn before the first job that only changed code causes trainings to rerun, and say how to prevent it."""
    from snakemake.logging import logger

    trainings = {name: modules for name, modules in verdict.code_alone.items() if name.startswith("train/")}
    if not trainings:
        return
    modules = sorted({module for changed in trainings.values() for module in changed})
    experiment = next(iter(trainings)).split("/")[1]
    logger.warning(
        f"{len(trainings)} finished trainings would rerun only because the source of {', '.join(modules)} changed. "
        f"`mmran why {experiment}` lists all differences; if the change cannot affect results, "
        "`mmran accept --all --because TEXT` keeps them."
    )
