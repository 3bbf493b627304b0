"""Cases of test slices -> intervals, paired tests and verdicts, over patient families.

row = mmran.statistics.Row.read("results/cheng/experiments/mmran/patient", "pkp")
bootstrap = mmran.statistics.Bootstrap(row.families)
mmran.statistics.interval(row, "dice", bootstrap)
"""

from mmran.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "rows": ("Families", "Row"),
        "intervals": ("Bootstrap", "Interval", "interval", "wilson"),
        "comparisons": ("Comparison", "compare", "compare_all", "compare_folders", "holm", "sign_flip_test"),
        "claims": ("judge", "mcnemar_exact"),
    },
)
