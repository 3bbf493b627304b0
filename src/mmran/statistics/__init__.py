"""Cases of test slices -> intervals, paired tests and verdicts, over patient families.

row = mmran.statistics.Row.read("results/cheng/experiments/mmran/patient", "pkp")
bootstrap = mmran.statistics.Bootstrap(mmran.statistics.Families.of(row))
mmran.statistics.interval(row, "dice", bootstrap)
"""

import importlib
from typing import Any

_PUBLIC = {
    "rows": ("Families", "Row"),
    "intervals": ("Bootstrap", "Interval", "interval", "wilson"),
    "comparisons": ("Comparison", "compare", "compare_all", "compare_folders", "holm", "sign_flip_test"),
    "claims": ("judge", "mcnemar_exact"),
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
