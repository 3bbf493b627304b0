"""Metrics of masks and classes: arrays in, numbers out.

mmran.metrics.dice(mmran.metrics.count_pixels(prediction, truth))
"""

from mmran.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "overlap": ("PixelCounts", "count_pixels", "dice", "iou", "recall", "soft_dice"),
        "surface": ("SurfaceDistances", "assd_mm", "hd95_mm", "nsd", "surface_distances"),
        "classification": ("accuracy", "auc", "confusion_matrix", "f1", "macro_precision", "macro_recall"),
        "calibration": ("brier", "expected_calibration_error", "log_loss", "reliability", "slope"),
        "names": ("METRICS", "Metric", "find_metric", "metric_names"),
    },
)
