"""What the schema cannot check: names that must exist, and options that must belong to their network or schedule."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmran.config.experiment import Experiment, Input, Loss, ScheduleSpec, Training
from mmran.config.schema import schema
from mmran.config.tables import EVIDENCE, NEAREST
from mmran.data.augmentation import Augmentation
from mmran.errors import UserError, known_names
from mmran.metrics.custom import is_taken
from mmran.networks import needs_both_tasks, option_names, stride_of, tasks_of

# Other kinds show every variant, or do not depend on the masks.
_KINDS_WITH_VARIANT = ("outlines", "cases", "forest")


def lookup(names: Mapping[str, Any], name: str, kind: str, where: str = "") -> Any:
    """The value of a name.

    Raises:
        UserError: there is no such name; suggests the nearest and lists all.
    """
    if name not in names:
        place = f"config: {where}: " if where else ""
        raise UserError(f"{place}no {kind} {name!r}; {known_names(name, names)}")
    return names[name]


def check_numbers(values: Any, where: str = "") -> None:
    """Refuse infinite numbers and NaN, and keys that are not text.

    Raises:
        UserError: names the key.
    """
    if isinstance(values, Mapping) and (odd := [key for key in values if not isinstance(key, str)]):
        place = f" {where}:" if where else ""
        raise UserError(f"config:{place} key {odd[0]} is not text; quote it: '{odd[0]}'")
    if isinstance(values, float) and not math.isfinite(values):
        raise UserError(f"config: {where}: {values} is not a finite number")
    if isinstance(values, Mapping | list):
        for key, value in values.items() if isinstance(values, Mapping) else enumerate(values):
            check_numbers(value, f"{where}.{key}" if where else str(key))


def check_results(results: str) -> str:
    """The folder of results, `~` expanded and as short as it can be written.

    Raises:
        UserError: programs would read the name as an option, or Snakemake as a pattern.
    """
    if results.startswith("-") or not results.isprintable() or set(results) & set("{}*?"):
        raise UserError(
            f"config: results: {results!r} is not a usable folder; expected a name without braces, *, and ? that "
            "does not start with a dash"
        )
    try:
        return str(Path(results).expanduser())
    except RuntimeError as error:
        raise UserError(f"config: results: {results!r}: {error}; give the full path") from error


def check_names(values: Mapping[str, Any]) -> None:
    """Refuse unknown protocols, unknown experiments, and aliases that form a circle.

    Raises:
        UserError: names the key, the name, and the known names.
    """
    experiments = values["experiments"]
    for name in values["evaluate_under"]:
        lookup(values["protocols"], name, "protocol", "evaluate_under")
    for name, entry in experiments.items():
        if isinstance(entry, str):
            _check_alias(experiments, name)
    if NEAREST in experiments:
        raise UserError(
            f"config: experiments.{NEAREST}: the name of the baseline that copies training slices; choose another"
        )
    for metric in values.get("evaluation", {}).get("metrics", {}):
        if is_taken(metric):
            raise UserError(
                f"config: evaluation.metrics.{metric}: mmran has a metric or column of this name; choose another"
            )
    for table, shown in values["tables"].items():
        if table in EVIDENCE:
            raise UserError(f"config: tables.{table}: the statistics already have a table of that name; choose another")
        for row in shown["rows"]:
            lookup({**experiments, NEAREST: {}}, row["experiment"], "experiment", f"tables.{table}")
        _check_table(f"config: tables.{table}", shown)
    for figure, shown in values.get("figures", {}).items():
        for row in shown["rows"]:
            lookup(experiments, row["experiment"], "experiment", f"figures.{figure}")
        _check_figure(f"config: figures.{figure}", shown)
    if "search" in values:
        _check_search(values["search"], experiments)


def _check_table(where: str, shown: Mapping[str, Any]) -> None:
    """Refuse what a table of its kind would not show."""
    if shown["kind"] == "metrics" and "metrics" not in shown:
        raise UserError(f"{where}: kind is metrics, but it names none; add e.g. metrics: [dice, acc]")
    if shown["kind"] != "metrics" and "metrics" in shown:
        raise UserError(f"{where}: a table of kind {shown['kind']} does not use metrics; remove them")
    columns = shown.get("metrics", ["params_m"])
    for row in shown["rows"]:
        if unused := [name for name in row.get("paper", {}) if name not in columns]:
            raise UserError(
                f"{where}: row {row['label']!r}: paper.{unused[0]} is not a column of this table; "
                f"{known_names(unused[0], columns)}"
            )
        if shown["kind"] != "metrics" and row["experiment"] == NEAREST:
            raise UserError(f"{where}: row {row['label']!r}: {NEAREST} has no network to count; remove the row")
        if shown["kind"] != "metrics" and "variant" in row:
            raise UserError(f"{where}: row {row['label']!r}: a table of kind {shown['kind']} does not use variant")


def _check_figure(where: str, shown: Mapping[str, Any]) -> None:
    """Refuse what a figure of its kind would not show."""
    for key, kind in (("paper", "hole-filling"), ("against", "forest"), ("metrics", "forest")):
        if key in shown and shown["kind"] != kind:
            raise UserError(f"{where}: only kind {kind} uses {key}; remove it")
    for row in shown["rows"]:
        if "variant" in row and shown["kind"] not in _KINDS_WITH_VARIANT:
            raise UserError(
                f"{where}: row {row['label']!r}: a figure of kind {shown['kind']} does not use variant, only "
                f"{', '.join(_KINDS_WITH_VARIANT)} do; remove it"
            )
    labels = [row["label"] for row in shown["rows"]]
    if "against" in shown and labels.count(shown["against"]) != 1:
        raise UserError(
            f"{where}: against: {shown['against']!r} is the label of {labels.count(shown['against'])} rows, expected "
            f"one of {', '.join(labels)}"
        )


def _check_search(search: Mapping[str, Any], experiments: Mapping[str, Any]) -> None:
    lookup(experiments, search["experiment"], "experiment", "search.experiment")
    for name, choices in search["space"].items():
        if isinstance(choices, dict) and choices["low"] >= choices["high"]:
            raise UserError(f"config: search.space.{name}: low {choices['low']} is not below high {choices['high']}")
        largest = choices["high"] if isinstance(choices, dict) else max(choices)
        if name == "alpha" and largest > 1:
            raise UserError(f"config: search.space.alpha: {largest} is not a weight; expected 0 to 1")


def _check_alias(experiments: Mapping[str, Any], name: str) -> None:
    seen, target = {name}, experiments[name]
    while isinstance(target, str):
        if target in seen:
            raise UserError(
                f"config: experiments.{name}: leads back to {target!r}; one of them must define an experiment"
            )
        seen.add(target)
        target = lookup(experiments, target, "experiment", f"experiments.{name}")


def check_channels(values: Mapping[str, Any]) -> None:
    """Refuse several channels of slices that have one.

    Raises:
        UserError: the source is the phantom.
    """
    channels = values["data"].get("channels", ())
    if len(channels) > 1 and values.get("source") == "phantom":
        raise UserError(
            f"config: data.channels: [{', '.join(channels)}], but synthetic slices (source: phantom) have one channel; "
            "remove the key, or give a source with these channels"
        )


def check_complete(name: str, values: Mapping[str, Any]) -> None:
    """Refuse an experiment that lacks a required value because a null removed it.

    Args:
        name: of the experiment.
        values: its entry laid over the defaults, nulls removed.

    Raises:
        UserError: names the key.
    """
    for section, keys in _NEEDED.items():
        if section not in values:
            raise UserError(f"config: experiments.{name}: no {section}; null cannot remove it")
        for key in keys:
            if key not in values[section]:
                raise UserError(f"config: experiments.{name}: no {section}.{key}; give a value, null cannot remove it")


def _fields(record: type) -> list[str]:
    return [field.name for field in dataclasses.fields(record) if field.default is dataclasses.MISSING]


_NEEDED: dict[str, list[str]] = {
    "network": ["name", "width"],
    "input": _fields(Input),
    "augmentation": _fields(Augmentation),
    "loss": _fields(Loss),
    "schedule": _fields(ScheduleSpec),
    "training": _fields(Training),
    "seeds": [],
    "resources": list(schema()["$defs"]["resources"]["properties"]),
}


_DERIVED = {"n_classes": "data.classes", "channels": "data.channels", "tasks": "data.tasks"}
"""Options of networks that follow from the data -> from what."""


def refuse_derived(name: str, network: Mapping[str, Any]) -> None:
    """Refuse options of an experiment's network that follow from the data.

    Raises:
        UserError: names the experiment and the option.
    """
    for key, source in _DERIVED.items():
        if key in network:
            raise UserError(f"config: experiments.{name}: network.{key} follows from {source}; remove it")


def taught(network: str, tasks: Sequence[str]) -> tuple[str, ...] | None:
    """The tasks of a network that data can teach it; None if these are all of its tasks, or none of them."""
    own = tasks_of(network)
    kept = tuple(task for task in own if task in tasks)
    return kept if kept and kept != own else None


def check_tasks(experiment: Experiment, tasks: Sequence[str]) -> None:
    """Refuse a network that cannot learn from the data.

    Args:
        experiment: resolved, shown by a table or figure.
        tasks: what the data are for.

    Raises:
        UserError: names the experiment, its network, and what the data lack.
    """
    network = experiment.network.name
    lacking = [task for task in tasks_of(network) if task not in tasks]
    if lacking and (lacking == list(tasks_of(network)) or needs_both_tasks(network)):
        raise UserError(
            f"config: experiments.{experiment.name}: network {network} needs data for {lacking[0]}, but data.tasks is "
            f"[{', '.join(tasks)}]; remove its rows from tables and figures"
        )


def check_experiment(experiment: Experiment, classes: Sequence[str]) -> None:
    """Refuse options that a network or schedule does not have, sizes that do not fit, and other channels or classes.

    Args:
        experiment: resolved.
        classes: names of the data set's classes.

    Raises:
        UserError: names the experiment, the option, and the known options.
    """
    where = f"config: experiments.{experiment.name}"
    network, schedule = experiment.network, experiment.schedule
    known = option_names(network.name)
    if known is not None and "n_classes" in network.options and "n_classes" not in known:
        raise UserError(
            f"{where}: network {network.name} builds one number of classes, and data.classes has {len(classes)}; give "
            "its constructor the option n_classes"
        )
    if known is not None and network.channels > 1 and "channels" not in known:
        raise UserError(
            f"{where}: network {network.name} takes images of one channel, and data.channels has {network.channels}; "
            "give its constructor the option channels"
        )
    alpha = experiment.loss.focal_alpha
    if isinstance(alpha, tuple) and classes and len(alpha) != len(classes):
        raise UserError(f"{where}: loss.focal_alpha has {len(alpha)} factors, expected one per class: {len(classes)}")
    for key in network.arguments:
        if known is not None and key not in known:
            raise UserError(f"{where}: network {network.name} has no option {key!r}; {known_names(key, known)}")
    size, stride = experiment.input.size, stride_of(network.name)
    if stride and size % stride:
        raise UserError(
            f"{where}: input.size {size} is not divisible by {stride}, the stride of network {network.name}; "
            f"use {size - size % stride or stride} or {size - size % stride + stride}"
        )
    if schedule.name != "fixed" and schedule.alpha is not None:
        raise UserError(f"{where}: schedule {schedule.name} has no option 'alpha'; only schedule fixed has it")
    if schedule.name == "fixed" and schedule.alpha is None:
        raise UserError(f"{where}: schedule fixed needs alpha, the weight of the classification loss, between 0 and 1")
