"""The checked configuration: the one place where names of experiments, tables and protocols are looked up."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmran.config.checks import (
    check_channels,
    check_experiment,
    check_names,
    check_numbers,
    check_results,
    check_tasks,
    lookup,
)
from mmran.config.claims import ComparisonSpec, claims_left
from mmran.config.entry import facts_of_data, merged_entry
from mmran.config.experiment import Experiment, WeightsFile
from mmran.config.figures import FigureSpec
from mmran.config.load import load, overlay, without_nulls
from mmran.config.per_class import classes_of, with_class_metrics
from mmran.config.provenance import stage_code, training_code
from mmran.config.schema import check_schema, choices
from mmran.config.search import SearchSpec
from mmran.config.tables import NEAREST, TableSpec
from mmran.config.typed import as_typed
from mmran.data.protocol import Protocol
from mmran.data.subgroups import Subgroups
from mmran.data.tasks import TASKS
from mmran.errors import UserError
from mmran.metrics.custom import CustomMetric, custom_metrics


@dataclass(frozen=True)
class Config:
    """A checked configuration.

    Attributes:
        values: the merged and validated mapping.
    """

    values: dict[str, Any]
    # Hundreds of jobs share a few sets of modules and files, so each is read once; edits during a run do not count.
    _code: dict[tuple[str, ...], dict[str, str]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _weights: dict[str, WeightsFile] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def read(cls, paths: Iterable[Path | str]) -> "Config":
        """Load, merge and check."""
        return cls.checked(load(paths))

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> "Config":
        """Check a merged mapping.

        Raises:
            UserError: an unknown key, name or option, or a value out of range; lists the known names.
        """
        values = as_typed(values)
        check_numbers(values)
        pruned = without_nulls(values)
        check_schema(pruned, classes_of(pruned))
        pruned = with_class_metrics(pruned)
        # A null in an entry removes the default's key, so it stays until the entry is merged with the defaults.
        entries = {name: values["experiments"][name] for name in pruned["experiments"]}
        claims = claims_left(pruned.get("claims", ()), values["experiments"].keys() - entries.keys())
        results = check_results(pruned["results"])
        checked = pruned | {"results": results, "experiments": entries, "claims": claims}
        check_names(checked)
        check_channels(checked)
        config = cls(checked)
        for name in checked["protocols"]:
            config.protocol(name)
        _ = config.comparison, config.subgroups
        for name in config.all_experiments():
            check_experiment(config._resolved(name, code={}), config.classes)
        for name in config.experiments():
            check_tasks(config._resolved(name, code={}), config.tasks)
        return config

    @property
    def results(self) -> Path:
        """The folder of all results."""
        return Path(self.values["results"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of their labels."""
        return classes_of(self.values)

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels of an image, in order; empty for gray images."""
        return tuple(self.values["data"].get("channels", ()))

    @property
    def tasks(self) -> tuple[str, ...]:
        """What the data are for: "segmentation", "classification", or both."""
        return tuple(task for task in TASKS if task in self.values["data"].get("tasks", TASKS))

    @property
    def custom_metrics(self) -> dict[str, CustomMetric]:
        """Metrics from outside the package, by name."""
        return custom_metrics(self.values.get("evaluation", {}).get("metrics", {}))

    @functools.cached_property
    def subgroups(self) -> Subgroups | None:
        """Properties of slices or patients by which statistics show results apart; None if no csv is named.

        Raises:
            UserError: the csv cannot be read, or makes no groups.
        """
        path = self.values.get("subgroups")
        return None if path is None else Subgroups.read(Path(path).expanduser())

    @property
    def source(self) -> list[str] | None:
        """The folder or archives of the .mat files; None for the phantom.

        Raises:
            UserError: the configuration names no source.
        """
        self.require_source()
        source = self.values["source"]
        if source == "phantom":
            return None
        return [str(Path(path).expanduser()) for path in ([source] if isinstance(source, str) else source)]

    def require_source(self) -> None:
        """Refuse a configuration that names no slices.

        Raises:
            UserError: names the option, the data set and the demo.
        """
        if "source" not in self.values:
            raise UserError(
                "config: source: not set; give snakemake --config source=DIR (mmran plan, why, and accept: "
                "--source DIR) with the data set's folder or archives (doi 10.6084/m9.figshare.1512427), or try the "
                "synthetic slices of `make demo`"
            )

    @property
    def protocols(self) -> list[str]:
        """The protocols that experiments are trained and tested under, the headline protocol first."""
        return list(self.values["evaluate_under"])

    def protocol(self, name: str) -> Protocol:
        """How the stage `split` divides the slices under one protocol.

        Raises:
            UserError: there is no such protocol, or one of its values is out of range or unused.
        """
        values = dict(lookup(self.values["protocols"], name, "protocol"))
        if values.get("method") != "file":
            values["patients_per_class"] = self.values["data"].get("patients_per_class")
        return Protocol.from_values(values, f"config: protocols.{name}")

    def experiment_name(self, name: str) -> str:
        """Follow `baseline: dynamic` to the experiment that is trained; `NEAREST` trains none and is its own name."""
        if name == NEAREST:
            return name
        entry = lookup(self.values["experiments"], name, "experiment")
        return self.experiment_name(entry) if isinstance(entry, str) else name

    @property
    def tables(self) -> list[str]:
        """Names of the tables."""
        return list(self.values["tables"])

    @property
    def figures(self) -> list[str]:
        """Names of the figures."""
        return list(self.values.get("figures", {}))

    def table(self, name: str) -> TableSpec:
        """What the stage `table` needs to know of one table; follows aliases of experiments."""
        values = lookup(self.values["tables"], name, "table")
        rows = [{**row, "experiment": self.experiment_name(row["experiment"])} for row in values["rows"]]
        return TableSpec.from_values({"name": name, **values, "rows": rows})

    def figure(self, name: str) -> FigureSpec:
        """What the stage `figure` needs to know of one figure; a network has the same style in all of them."""
        values = dict(lookup(self.values.get("figures", {}), name, "figure"))
        # The longest figure first: Snakemake puts the figures of an overlay before those that it overlays.
        order = self._shown(*sorted(self.values["figures"].values(), key=lambda figure: -len(figure["rows"])))
        rows = []
        for row in values["rows"]:
            experiment = self.experiment_name(row["experiment"])
            rows.append({**row, "experiment": experiment, "style": order.index(experiment)})
        gain = values.pop("paper", {}).get("gain", ())
        return FigureSpec.from_values({"name": name, **values, "rows": rows, "paper_gain": gain})

    @property
    def comparison(self) -> ComparisonSpec:
        """What the stage `compare` needs to know: every row of a table of metrics, and the claims about experiments.

        The baseline that copies the nearest training slice is always among the rows, even if no table shows it.

        Raises:
            UserError: a claim names no experiment or no variant.
        """
        shown = [table for table in map(self.table, self.tables) if table.kind == "metrics"]
        return ComparisonSpec.of(shown, self.values.get("claims", ()), self._row)

    @property
    def compared(self) -> list[str]:
        """Names of the experiments that the stage `compare` reads."""
        names = dict.fromkeys(row.partition("/")[0] for row in self.comparison.rows)
        return [name for name in names if name != NEAREST]

    def _row(self, name: str, where: str) -> str:
        """EXPERIMENT/VARIANT of a row, aliases followed."""
        experiment, _, variant = name.partition("/")
        lookup(dict.fromkeys(choices("variant")), variant or "raw", "variant", where)
        lookup(self.values["experiments"], experiment, "experiment", where)
        return f"{self.experiment_name(experiment)}/{variant or 'raw'}"

    def experiments(self) -> list[str]:
        """Names of the experiments that some table or figure shows, in order of first appearance."""
        return self._shown(*self.values["tables"].values(), *self.values.get("figures", {}).values())

    def all_experiments(self) -> list[str]:
        """Names of all experiments, shown or not, without aliases."""
        return [name for name, entry in self.values["experiments"].items() if not isinstance(entry, str)]

    def trained_for(self, name: str) -> list[str]:
        """Names of the experiments that one table or figure shows."""
        return self._shown(lookup(self.values["tables"] | self.values.get("figures", {}), name, "table or figure"))

    def shows_nearest(self, table: str) -> bool:
        """Whether a table has a row for the baseline that copies the nearest training slice."""
        return any(row.experiment == NEAREST for row in self.table(table).rows)

    def _shown(self, *tables: Mapping[str, Any]) -> list[str]:
        names = (self.experiment_name(row["experiment"]) for table in tables for row in table["rows"])
        return list(dict.fromkeys(name for name in names if name != NEAREST))

    def resolve(self, name: str) -> Experiment:
        """The defaults with one experiment's entry laid over them.

        Raises:
            UserError: there is no such experiment.
        """
        name = self.experiment_name(name)
        lookup(self.values["experiments"], name, "experiment")
        experiment = self._resolved(name, code={})
        if weights := experiment.network.encoder_weights:
            experiment = experiment.started_from(self._weights_file(weights, f"config: experiments.{name}"))
        code = self._read_once(training_code, experiment.network.name, *experiment.outside)
        return dataclasses.replace(experiment, code=code)

    def stage_code(self, stage: str) -> dict[str, str]:
        """Digests of the modules that decide what a stage other than training writes, as first read."""
        return self._read_once(stage_code, stage)

    def measuring_code(self, stage: str) -> dict[str, str]:
        """As `stage_code`, with the modules behind custom metrics."""
        places = [one.function for one in self.custom_metrics.values()]
        return self._read_once(stage_code, stage, *places)

    def _read_once(self, read: Callable[..., dict[str, str]], *names: str) -> dict[str, str]:
        key = (read.__name__, *names)
        if key not in self._code:
            self._code[key] = read(*names)
        return self._code[key]

    def _weights_file(self, file: WeightsFile, where: str) -> WeightsFile:
        if file.path not in self._weights:
            try:
                self._weights[file.path] = file.read()
            except UserError as error:
                raise UserError(f"{where}: {error}") from error
        return self._weights[file.path]

    def _resolved(self, name: str, code: Mapping[str, str]) -> Experiment:
        values = merged_entry(self.values, name)
        values.pop("resources", None)
        network = values["network"]
        network["name"] = self.values.get("networks", {}).get(network["name"], network["name"])
        network |= facts_of_data(name, network, self.tasks, self.classes, self.channels)
        return Experiment.from_values({"name": name, "code": code, **values})

    def resources(self, name: str) -> dict[str, int | str]:
        """Resources that a training job of the experiment requests."""
        return dict(merged_entry(self.values, self.experiment_name(name))["resources"])

    @property
    def search(self) -> SearchSpec | None:
        """What the stage `search` needs to know; None where none is configured."""
        if "search" not in self.values:
            return None
        values = {key: value for key, value in self.values["search"].items() if key != "resources"}
        return SearchSpec(**values | {"experiment": self.resolve(values["experiment"])})

    @property
    def searched(self) -> str:
        """Name of the experiment that is searched, aliases followed."""
        return self.experiment_name(self.values["search"]["experiment"])

    def search_resources(self) -> dict[str, int | str]:
        """Resources that the search's job requests."""
        search = self.values["search"]
        return overlay(self.resources(search["experiment"]), search.get("resources", {}))
