"""The schema of the configuration: every key, its type, its range and its meaning, read from `schema.yaml`."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mmran.data import channels
from mmran.data.classes import NAME_PATTERN
from mmran.data.protocol import APART, METHODS
from mmran.data.published import CLASSES
from mmran.data.tasks import TASKS
from mmran.errors import UserError, known_names
from mmran.metrics.custom import NAME_PATTERN as METRIC_PATTERN
from mmran.metrics.names import METRICS, metric_names

_PATH = Path(__file__).with_name("schema.yaml")

_NAMES: dict[str, Iterable[str]] = {"method": METHODS, "apart": APART, "task": TASKS}
"""Definition of the schema -> the registry that holds its names."""


@functools.cache
def schema() -> dict[str, Any]:
    """The schema, as JSON Schema 2020-12."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    values: dict[str, Any] = yaml.load(_PATH.read_text(encoding="utf-8"), Loader=loader)
    for definition, names in _NAMES.items():
        values["$defs"][definition]["enum"] = list(names)
    values["$defs"]["class"]["pattern"] = f"^{NAME_PATTERN}$"
    values["$defs"]["metric_name"]["pattern"] = f"^{METRIC_PATTERN}$"
    values["$defs"]["channel"]["pattern"] = f"^{channels.NAME_PATTERN}$"
    return _with_metrics(values, CLASSES)


def _with_metrics(schema: dict[str, Any], classes: Sequence[str], custom: Iterable[str] = ()) -> dict[str, Any]:
    """The schema with the metrics of a data set of these classes, names that stand for one per class, and the paper's.

    Custom metrics follow, by name.

    The paper's metrics stay known, since its claims are part of every configuration (`mmran.config.per_class`).
    """
    definitions = schema["$defs"]
    names = dict.fromkeys([*metric_names(classes), *METRICS, *metric_names(CLASSES), *custom])
    return schema | {"$defs": definitions | {"metric": definitions["metric"] | {"enum": list(names)}}}


def choices(definition: str) -> tuple[str, ...]:
    """The values that a definition of the schema allows, such as those of `variant` or `figure_kind`."""
    return tuple(schema()["$defs"][definition]["enum"])


def check_choice(definition: str, value: str, where: str) -> None:
    """Refuse a value that the definition does not allow.

    Raises:
        ValueError: names `where`, the value and the allowed ones.
    """
    if value not in (allowed := choices(definition)):
        raise ValueError(f"{where}: {value!r} is unknown, expected one of {', '.join(allowed)}")


def _custom_names(values: Mapping[str, Any]) -> list[str]:
    """Names of the custom metrics of a configuration that may be wrong in any way."""
    section = values.get("evaluation")
    metrics = section.get("metrics") if isinstance(section, Mapping) else None
    return list(metrics) if isinstance(metrics, Mapping) else []


def check_schema(values: Mapping[str, Any], classes: Sequence[str] = CLASSES) -> None:
    """Check the keys, types and ranges of a merged configuration.

    Args:
        values: the configuration.
        classes: names of its classes, which metrics are named after.

    Raises:
        UserError: the first mistake, with its key.
    """
    # Imported here: a resolved specification trains on machines without jsonschema.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    validator = Draft202012Validator(_with_metrics(schema(), classes, _custom_names(values)))
    error = best_match(validator.iter_errors(values))
    if error is None:
        return
    if error.validator == "pattern" and error.parent and ":" not in str(error.instance):
        # Where module:function is allowed too, a mistyped name is the likelier mistake.
        error = next((other for other in error.parent.context if other.validator == "enum"), error)
    where = ".".join(map(str, error.absolute_path)) or "top level"
    if error.validator == "additionalProperties" and isinstance(error.schema.get("properties"), dict):
        known = error.schema["properties"]
        wrong = next(key for key in error.instance if key not in known)
        raise UserError(f"config: {where}: unknown key {wrong!r}; {known_names(wrong, known)}")
    if error.validator == "enum" and all(isinstance(choice, str) for choice in error.validator_value):
        raise UserError(
            f"config: {where}: {error.instance!r} is unknown; {known_names(error.instance, error.validator_value)}"
        )
    if error.validator == "required" and not error.absolute_path:
        missing = next(key for key in error.validator_value if key not in error.instance)
        raise UserError(
            f"config: {missing}: missing; a file that only changes values goes after a whole configuration: snakemake "
            "--configfile FILE beside config.yaml, mmran VERB --config config.yaml FILE"
        )
    described = error.schema.get("description") if isinstance(error.schema, dict) else None
    raise UserError(f"config: {where}: {error.message}" + (f" ({described})" if described else ""))
