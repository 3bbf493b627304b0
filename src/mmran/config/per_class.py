"""Metrics of single classes in a configuration: one per class of the data, and those of the paper's classes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmran.data.published import CLASSES
from mmran.data.tasks import SEGMENTATION
from mmran.errors import UserError
from mmran.metrics.names import METRICS, names_of


def classes_of(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes of a merged configuration; the published ones where it names none, or something else.

    Data for segmentation alone have no classes.
    """
    data = values.get("data")
    tasks = data.get("tasks") if isinstance(data, Mapping) else None
    if tasks == [SEGMENTATION]:
        return ()
    classes = data.get("classes") if isinstance(data, Mapping) else None
    if isinstance(classes, list) and classes and all(isinstance(name, str) for name in classes):
        return tuple(classes)
    return CLASSES


def with_class_metrics(values: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with one metric per class wherever tables, figures, and claims say `auc_{class}`.

    The paper says nothing of classes of your own. Where its classes are not among them, the values that it prints for
    these classes are left out, and so are its claims about them.

    Raises:
        UserError: a table or figure has a metric of a class that the data lack.
    """
    classes = classes_of(values)
    absent = {name for one in METRICS for name in names_of(one, CLASSES)} - {
        name for one in METRICS for name in names_of(one, classes)
    }
    tables = {name: _shown(f"tables.{name}", shown, classes, absent) for name, shown in values["tables"].items()}
    figures = {
        name: _shown(f"figures.{name}", shown, classes, absent) for name, shown in values.get("figures", {}).items()
    }
    claims = [
        {**claim, "metrics": metrics}
        for claim in values.get("claims", ())
        if (metrics := [name for name in _named(claim["metrics"], classes) if name not in absent])
    ]
    shown = {"tables": tables, "figures": figures} if "figures" in values else {"tables": tables}
    return {**values, **shown, "claims": claims}


def _shown(where: str, shown: Mapping[str, Any], classes: Sequence[str], absent: set[str]) -> dict[str, Any]:
    rows = [_row(row, absent) for row in shown["rows"]]
    if "metrics" not in shown:
        return {**shown, "rows": rows}
    metrics = _named(shown["metrics"], classes)
    if unknown := [one for one in metrics if one in absent]:
        raise UserError(
            f"config: {where}.metrics: {unknown[0]} is of no class of the data ({', '.join(classes) or 'none'}); "
            "auc_{class} has a column for each"
        )
    if not metrics:
        raise UserError(f"config: {where}.metrics: the data have no classes; remove it with null")
    return {**shown, "metrics": metrics, "rows": rows}


def _row(row: Mapping[str, Any], absent: set[str]) -> dict[str, Any]:
    if "paper" not in row:
        return dict(row)
    return {**row, "paper": {name: value for name, value in row["paper"].items() if name not in absent}}


def _named(metrics: Iterable[str], classes: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(full for name in metrics for full in names_of(name, classes)))
