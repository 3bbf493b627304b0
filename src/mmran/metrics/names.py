"""Every metric of a test set by name: what it is called, how it is printed, which direction is better.

The configuration, the tables, the figures and the statistics read this registry.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """How to print and rank a metric.

    Attributes:
        title: heading, with the unit.
        needs: the task a network must have: "masks" or "classes".
        scale: factor from the stored value to the printed one: 100 for percent, 1 for millimeters and counts.
        decimals: digits after the point.
        lower_is_better: whether the smallest value is the best.
    """

    title: str
    needs: str
    scale: float = 100.0
    decimals: int = 2
    lower_is_better: bool = False

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
    "auc_meningioma": _classes("AUC meningioma"),
    "auc_glioma": _classes("AUC glioma"),
    "auc_pituitary": _classes("AUC pituitary"),
    "auc_macro": _classes("AUC macro"),
    "dice_released": _masks("Dice, released"),
    "miou_released": _masks("MIoU, released"),
    "mpa_released": _masks("MPA, released"),
    "auc_meningioma_released": _classes("AUC meningioma, released"),
    "auc_glioma_released": _classes("AUC glioma, released"),
    "auc_pituitary_released": _classes("AUC pituitary, released"),
}
"""Metric name -> how it is printed. `n_missed` counts empty predictions; `n_no_overlap` counts predictions that have
pixels but touch no tumor pixel; `hd95_overlapping_mm` is the mean over the slices whose masks overlap; `*_released`
measure as the authors' script does."""

SEGMENTATION = tuple(name for name, metric in METRICS.items() if metric.needs == "masks")
CLASSIFICATION = tuple(name for name, metric in METRICS.items() if metric.needs == "classes")
