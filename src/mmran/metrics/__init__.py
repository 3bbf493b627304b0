"""Metrics of masks and classes: arrays in, numbers out.

mmran.metrics.dice(mmran.metrics.count_pixels(prediction, truth))
"""

import importlib
from typing import Any

_PUBLIC = {
    "overlap": ("PixelCounts", "count_pixels", "dice", "iou", "recall", "soft_dice"),
    "surface": ("SurfaceDistances", "assd_mm", "hd95_mm", "nsd", "surface_distances"),
    "classification": ("accuracy", "auc", "confusion_matrix", "f1", "macro_precision", "macro_recall"),
    "calibration": ("brier", "expected_calibration_error", "log_loss", "reliability", "slope"),
    "names": ("METRICS", "Metric"),
}
"""Module -> its public names, which this package offers too."""

_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
