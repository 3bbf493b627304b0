"""Every metric of a test set by name: what it is called, how it is printed, which direction is better.

The configuration, the tables, the figures and the statistics read this registry. A name with `{class}` stands for one
metric per class: `auc_{class}` for `auc_glioma` and others.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mmran.data.classes import NAME_PATTERN

CLASS: Final = "{class}"
"""Stands for the name of a class, in names of metrics and in their titles."""


@dataclass(frozen=True)
class Metric:
    """How to print and rank a metric.

    Attributes:
        title: heading, with the unit.
        needs: the task a network must have: "masks" or "classes".
        scale: factor from the stored value to the printed one: 100 for percent, 1 for millimeters and counts.
        decimals: digits after the point.
        lower_is_better: whether the smallest value is the best.
        is_signed: whether values below zero are possible.
    """

    title: str
    needs: str
    scale: float = 100.0
    decimals: int = 2
    lower_is_better: bool = False
    is_signed: bool = False

    def text(self, value: float, n_seeds: int = 1) -> str:
        """A stored value as printed; a mean over several seeds has a decimal, even of counts."""
        return f"{self.scale * value:.{max(self.decimals, 1 if n_seeds > 1 else 0)}f}"

    @property
    def is_fraction(self) -> bool:
        """Whether the stored value lies within 0..1."""
        return self.scale == 100.0


def _masks(title: str) -> Metric:
    return Metric(f"{title} (%)", "masks")


def _classes(title: str) -> Metric:
    return Metric(f"{title} (%)", "classes")


def _millimeters(title: str) -> Metric:
    return Metric(f"{title} (mm)", "masks", scale=1.0, decimals=3, lower_is_better=True)


def _count(title: str) -> Metric:
    return Metric(title, "masks", scale=1.0, decimals=0, lower_is_better=True)


METRICS: Mapping[str, Metric] = {
    "dice": _masks("Dice"),
    "soft_dice": _masks("soft Dice"),
    "miou": _masks("MIoU"),
    "mpa": _masks("MPA"),
    "hd95_mm": _millimeters("HD95"),
    "hd95_median_mm": _millimeters("median HD95"),
    "hd95_overlapping_mm": _millimeters("HD95 where overlapping"),
    "assd_mm": _millimeters("ASSD"),
    "nsd_2mm": _masks("NSD at 2 mm"),
    "n_missed": _count("missed"),
    "n_no_overlap": _count("no overlap"),
    "acc": _classes("Acc"),
    "rec": _classes("Rec"),
    "pre": _classes("Pre"),
    "f1": _classes("F1"),
    "auc_{class}": _classes("AUC {class}"),
    "auc_macro": _classes("AUC macro"),
    "dice_released": _masks("Dice, released"),
    "miou_released": _masks("MIoU, released"),
    "mpa_released": _masks("MPA, released"),
    "auc_{class}_released": _classes("AUC {class}, released"),
}
"""Metric name -> how it is printed. `n_missed` counts empty predictions; `n_no_overlap` counts predictions that have
pixels but touch no tumor pixel; `hd95_overlapping_mm` is the mean over the slices whose masks overlap; `*_released`
measure as the authors' script does."""


def names_of(name: str, classes: Sequence[str]) -> tuple[str, ...]:
    """The metrics that a name stands for: one per class if it has `{class}`, else itself."""
    return tuple(name.replace(CLASS, one) for one in classes) if CLASS in name else (name,)


def metric_names(classes: Sequence[str], needs: str | None = None) -> tuple[str, ...]:
    """Every metric of a test set.

    Args:
        classes: names of the classes.
        needs: "masks" or "classes", for the metrics of one task alone.
    """
    found = [name for name, one in METRICS.items() if needs in (None, one.needs)]
    return tuple(full for name in found for full in names_of(name, classes))


def find_metric(name: str) -> Metric:
    """How a metric is printed, whatever the classes.

    Raises:
        KeyError: there is no such metric.
    """
    if name in METRICS:
        return METRICS[name]
    for template in (one for one in METRICS if CLASS in one):
        before, after = template.split(CLASS)
        found = re.fullmatch(f"{before}(.+){after}", name)
        if found and re.fullmatch(NAME_PATTERN, found[1], re.ASCII):
            return replace(METRICS[template], title=METRICS[template].title.replace(CLASS, found[1].replace("_", " ")))
    raise KeyError(name)


def is_metric(name: str) -> bool:
    """Whether `find_metric` knows a name."""
    try:
        find_metric(name)
    except KeyError:
        return False
    return True
