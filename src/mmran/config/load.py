"""The configuration: files -> merged mapping -> checked -> `Experiment`s, protocols and tables."""

import copy
import dataclasses
import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mmran.config.experiment import Experiment
from mmran.config.provenance import training_code
from mmran.errors import UserError
from mmran.networks import option_names, stride_of

SCHEMA = Path(__file__).resolve().parents[3] / "workflow" / "schemas" / "config.schema.yaml"

# `name` chooses what is meant by the keys beside it; another name makes the default's options meaningless.
_CHOOSERS = ("network", "schedule")


def load(paths: Iterable[Path | str]) -> dict[str, Any]:
    """Read configuration files, each laid over those before it.

    Raises:
        UserError: a file is absent or not a YAML mapping.
    """
    merged: dict[str, Any] = {}
    for path in map(Path, paths):
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        except yaml.YAMLError as error:
            raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
        if not isinstance(values, dict):
            raise UserError(f"{path}: holds a {type(values).__name__}, expected a mapping of keys")
        merged = overlay(merged, values)
    return merged


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one mapping over another: mappings merge key by key, everything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = overlay(merged[key], value) if both else copy.deepcopy(value)
    return merged


@dataclass(frozen=True)
class Config:
    """A checked configuration; the one place where names are looked up.

    Attributes:
        values: the merged and validated mapping.
    """

    values: dict[str, Any]

    @classmethod
    def read(cls, paths: Iterable[Path | str]) -> "Config":
        """Load, merge and check."""
        return cls.checked(load(paths))

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> "Config":
        """Check a merged mapping.

        Raises:
            UserError: an unknown key, name or option, or a value out of its range; with the known names.
        """
        values = {key: value for key, value in values.items() if value is not None}
        _check_schema(values)
        config = cls(values)
        config._check_names()
        return config

    @property
    def results(self) -> Path:
        """The folder of everything that is made."""
        return Path(self.values["results"])

    @property
    def source(self) -> list[str] | None:
        """The folder or archives of the .mat files; None for the phantom."""
        source = self.values["source"]
        if source == "phantom":
            return None
        return [source] if isinstance(source, str) else list(source)

    @property
    def protocols(self) -> list[str]:
        """The protocols that experiments are trained and tested under, the headline first."""
        return list(self.values["evaluate_under"])

    def protocol(self, name: str) -> dict[str, Any]:
        """What the stage `split` needs to know of one protocol."""
        protocol = dict(self.values["protocols"][name])
        if self.values["data"].get("patients_per_class"):
            protocol["patients_per_class"] = self.values["data"]["patients_per_class"]
        return protocol

    def experiment_name(self, name: str) -> str:
        """Follow `baseline: dynamic` to the experiment that is trained."""
        entry = _lookup(self.values["experiments"], name, "experiment")
        return self.experiment_name(entry) if isinstance(entry, str) else name

    @property
    def tables(self) -> dict[str, Any]:
        """Name -> table, as configured."""
        return dict(self.values["tables"])

    @property
    def figures(self) -> dict[str, Any]:
        """Name -> figure, as configured."""
        return dict(self.values.get("figures", {}))

    def experiments(self) -> list[str]:
        """Names of the experiments that some table or figure shows, in the order in which they do."""
        return self._shown(*self.tables.values(), *self.figures.values())

    def trained_for(self, name: str) -> list[str]:
        """Names of the experiments that one table or figure shows."""
        return self._shown(_lookup(self.tables | self.figures, name, "table or figure"))

    def _shown(self, *tables: Mapping[str, Any]) -> list[str]:
        return list(dict.fromkeys(self.experiment_name(row["experiment"]) for table in tables for row in table["rows"]))

    def resolve(self, name: str) -> Experiment:
        """The defaults with one experiment's entry laid over them.

        Raises:
            UserError: there is no such experiment.
        """
        name = self.experiment_name(name)
        values = self._merged(name)
        values.pop("resources", None)
        network = values["network"]
        network["name"] = self.values.get("networks", {}).get(network["name"], network["name"])
        return Experiment.from_values({"name": name, "code": training_code(network["name"]), **values})

    def resources(self, name: str) -> dict[str, int | str]:
        """What a training job of the experiment asks for."""
        return dict(self._merged(self.experiment_name(name))["resources"])

    @property
    def search(self) -> dict[str, Any] | None:
        """What the stage `search` needs to know; None where none is configured."""
        if "search" not in self.values:
            return None
        search = {key: value for key, value in self.values["search"].items() if key != "resources"}
        return search | {"experiment": dataclasses.asdict(self.resolve(search["experiment"]))}

    @property
    def searched(self) -> str:
        """Name of the experiment that is searched, aliases followed."""
        return self.experiment_name(self.values["search"]["experiment"])

    def search_resources(self) -> dict[str, int | str]:
        """What the search's job asks for."""
        search = self.values["search"]
        return overlay(self.resources(search["experiment"]), search.get("resources", {}))

    def table(self, name: str) -> dict[str, Any]:
        """What the stage `table` needs to know of one table; aliases of experiments followed."""
        table = copy.deepcopy(_lookup(self.tables, name, "table"))
        for row in table["rows"]:
            row["experiment"] = self.experiment_name(row["experiment"])
        return {"name": name, **table}

    def figure(self, name: str) -> dict[str, Any]:
        """What the stage `figure` needs to know of one figure; every network has one style in all of them."""
        figure = copy.deepcopy(_lookup(self.figures, name, "figure"))
        order = self._shown(*self.figures.values())
        for row in figure["rows"]:
            row["experiment"] = self.experiment_name(row["experiment"])
            row["style"] = order.index(row["experiment"])
        return {"name": name, **figure}

    def _merged(self, name: str) -> dict[str, Any]:
        defaults, entry = copy.deepcopy(self.values["defaults"]), self.values["experiments"][name] or {}
        for key in _CHOOSERS:
            chosen = entry.get(key, {}).get("name", defaults[key]["name"])
            if chosen != defaults[key]["name"]:
                defaults[key] = {k: v for k, v in defaults[key].items() if k == "width"}
        return overlay(defaults, entry)

    def _check_names(self) -> None:
        for name in self.values["evaluate_under"]:
            _lookup(self.values["protocols"], name, "protocol", "evaluate_under")
        for name, entry in self.values["experiments"].items():
            if isinstance(entry, str):
                self._check_alias(name)
        for kind, shown in (("tables", self.tables), ("figures", self.figures)):
            for name, values in shown.items():
                for row in values["rows"]:
                    _lookup(self.values["experiments"], row["experiment"], "experiment", f"{kind}.{name}")
        for table, values in self.tables.items():
            if values["kind"] == "metrics" and "metrics" not in values:
                raise UserError(
                    f"config: tables.{table}: kind is metrics, but it names none; add e.g. metrics: [dice, acc]"
                )
        for name, entry in self.values["experiments"].items():
            if not isinstance(entry, str):
                _check_options(self.resolve(name))
        if "search" in self.values:
            self._check_search(self.values["search"])

    def _check_search(self, search: Mapping[str, Any]) -> None:
        _lookup(self.values["experiments"], search["experiment"], "experiment", "search.experiment")
        for name, choices in search["space"].items():
            if isinstance(choices, dict) and choices["low"] >= choices["high"]:
                raise UserError(
                    f"config: search.space.{name}: low {choices['low']} is not below high {choices['high']}"
                )
            largest = choices["high"] if isinstance(choices, dict) else max(choices)
            if name == "alpha" and largest > 1:
                raise UserError(f"config: search.space.alpha: {largest} is no weight; expected 0 to 1")

    def _check_alias(self, name: str) -> None:
        seen, target = {name}, self.values["experiments"][name]
        while isinstance(target, str):
            if target in seen:
                raise UserError(
                    f"config: experiments.{name}: leads back to {target!r}; one of them must say what it trains"
                )
            seen.add(target)
            target = _lookup(self.values["experiments"], target, "experiment", f"experiments.{name}")


_SCHEDULE_OPTIONS = {"fixed": {"alpha"}, "freeze": {"tasks"}, "dynamic": set[str]()}


def _check_options(experiment: Experiment) -> None:
    where = f"config: experiments.{experiment.name}"
    options = {key: value for key, value in experiment.network.items() if key != "name"}
    known = option_names(experiment.network["name"])
    for key in options:
        if known is not None and key not in known:
            raise UserError(
                f"{where}: network {experiment.network['name']} has no option {key!r}; {known_names(key, known)}"
            )
    size, stride = experiment.input.size, stride_of(experiment.network["name"])
    if stride and size % stride:
        raise UserError(
            f"{where}: input.size {size} is not divisible by {stride}, the stride of network "
            f"{experiment.network['name']}; use {size - size % stride or stride} or {size - size % stride + stride}"
        )
    schedule = experiment.schedule["name"]
    allowed = _SCHEDULE_OPTIONS[schedule]
    for key in set(experiment.schedule) - {"name"} - allowed:
        raise UserError(f"{where}: schedule {schedule} has no option {key!r}; {known_names(key, allowed)}")
    if schedule == "fixed" and "alpha" not in experiment.schedule:
        raise UserError(f"{where}: schedule fixed needs alpha, the weight of the classification loss, between 0 and 1")


def _lookup(names: Mapping[str, Any], name: str, kind: str, where: str = "") -> Any:
    if name not in names:
        place = f"config: {where}: " if where else ""
        raise UserError(f"{place}no {kind} {name!r}; {known_names(name, names)}")
    return names[name]


def known_names(name: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest of the known ones, and all of them."""
    names = sorted(names)
    near = difflib.get_close_matches(str(name), names, 1)
    return (f"did you mean {near[0]!r}? " if near else "") + "known: " + (", ".join(names) or "none")


def _check_schema(values: Mapping[str, Any]) -> None:
    # Here, since a resolved specification trains on machines that have no jsonschema.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    schema = yaml.safe_load(Path(os.environ.get("MMRAN_SCHEMA", SCHEMA)).read_text(encoding="utf-8"))
    error = best_match(Draft202012Validator(schema).iter_errors(values))
    if error is None:
        return
    where = ".".join(map(str, error.absolute_path)) or "top level"
    if error.validator == "additionalProperties" and isinstance(error.schema.get("properties"), dict):
        known = error.schema["properties"]
        wrong = next(key for key in error.instance if key not in known)
        raise UserError(f"config: {where}: unknown key {wrong!r}; {known_names(wrong, known)}")
    described = error.schema.get("description") if isinstance(error.schema, dict) else None
    raise UserError(f"config: {where}: {error.message}" + (f" ({described})" if described else ""))
