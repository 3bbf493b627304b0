"""Metrics from outside the package: what the configuration says of one, and how it is printed.

`mmran.evaluation.custom_metrics` calls their functions. Everything else needs only these definitions, which
`summary.json` holds, so results can be read on a machine without the functions.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from mmran.metrics.names import Metric, find_metric, is_metric

NAME_PATTERN: Final = r"(?!(p|n|auc|paper)_)(?!.*_(released|low|high|sd)$)[a-z][a-z0-9_]*"
"""Names become columns of `cases.csv` and of tables, beside `p_glioma`, `n_missed`, `auc_glioma`, and `dice_low`."""

COLUMNS: Final = frozenset(
    (
        *("experiment", "protocol", "seed", "fold", "slice", "pid", "family", "label", "variant", "predicted"),
        *("tumor_mm2", "image_mm2", "size_tertile", "missed", "overlaps"),
        *("iou_background", "iou_tumor", "recall_background", "recall_tumor"),
        *("row", "n", "seeds", "spec", "at_chance"),
    )
)
"""Columns of `cases.csv` and of tables that are no metrics; none of your own has such a name."""

PERCENT: Final = "percent"


@dataclass(frozen=True)
class CustomMetric:
    """A metric of predicted masks that the configuration names.

    Attributes:
        function: "package.module:function", called as f(predicted, truth, spacing_mm).
        title: what readers call it.
        unit: "percent" for values 0 to 1 that are printed as percent; else the unit as printed, such as "mm", or "".
        better: which direction is better.
        decimals: digits after the point as printed.
    """

    function: str
    title: str
    unit: str = PERCENT
    better: Literal["higher", "lower"] = "higher"
    decimals: int = 2

    @property
    def metric(self) -> Metric:
        """How it is printed and ranked."""
        is_percent = self.unit == PERCENT
        unit = "%" if is_percent else self.unit
        return Metric(
            title=f"{self.title} ({unit})" if unit else self.title,
            needs="masks",
            scale=100.0 if is_percent else 1.0,
            decimals=self.decimals,
            lower_is_better=self.better == "lower",
            is_signed=not is_percent,
        )


CustomMetrics = Mapping[str, CustomMetric]
"""Name -> definition."""


def custom_metrics(values: Mapping[str, str | Mapping[str, Any]]) -> dict[str, CustomMetric]:
    """Build definitions from plain values: of each metric its function, or a mapping; without a title, its name.

    Raises:
        TypeError: a value is missing or unknown.
    """
    full = {name: {"function": one} if isinstance(one, str) else one for name, one in values.items()}
    return {name: CustomMetric(**{"title": name.replace("_", " "), **one}) for name, one in full.items()}


def custom_values(metrics: CustomMetrics) -> dict[str, dict[str, Any]]:
    """The plain values of definitions."""
    return {name: dataclasses.asdict(one) for name, one in metrics.items()}


def describe(name: str, custom: CustomMetrics) -> Metric:
    """How a metric is printed and ranked, mmran's or custom.

    Raises:
        KeyError: there is no such metric.
    """
    return custom[name].metric if name in custom else find_metric(name)


def needs_of(name: str) -> str:
    """The task that a metric measures: "masks" or "classes"; custom metrics measure masks."""
    return find_metric(name).needs if is_metric(name) else "masks"


def is_taken(name: str) -> bool:
    """Whether mmran has a metric or a column of this name."""
    return name in COLUMNS or is_metric(name)
