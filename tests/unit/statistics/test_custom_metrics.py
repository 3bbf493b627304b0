"""Statistics of metrics from outside the package: slices without a value, directions, and units."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mmran.config.claims import Claim
from mmran.data.published import CLASSES
from mmran.errors import UserError
from mmran.evaluation.cases import typed_cases
from mmran.evaluation.summary import Summary
from mmran.metrics.custom import CustomMetrics, custom_metrics
from mmran.statistics.claims import judge
from mmran.statistics.comparisons import compare
from mmran.statistics.intervals import Bootstrap, interval
from mmran.statistics.rows import Families, Row, shared_custom
from mmran.statistics.trace import trace
from tests.unit.statistics.samples import cases, publish

CUSTOM = custom_metrics(
    {
        "rim": {"function": "m:rim", "title": "Rim"},
        "error": {"function": "m:error", "unit": "mm²", "better": "lower"},
    }
)


def measured(draw: int = 0, seeds: tuple[int, ...] = (1,), name: str = "net", **columns: Any) -> pd.DataFrame:
    """Cases with custom metrics: a copy of Dice and a signed error, or the columns that are given."""
    frame = cases(seeds=seeds, draw=draw, name=name)
    error = np.random.default_rng(draw).normal(0, 1, len(frame))
    return typed_cases(frame.assign(**{"rim": frame["dice"], "error": error, **columns}), CLASSES, tuple(CUSTOM))


def row(frame: pd.DataFrame, label: str = "net", custom: CustomMetrics = CUSTOM) -> Row:
    return Row(label, label, "paper", "raw", label, frame, custom)


@pytest.fixture
def bootstrap() -> Bootstrap:
    return Bootstrap(Families.of(row(measured())), resamples=500)


def test_a_metric_on_all_slices_has_the_interval_and_the_test_of_a_metric_of_mmran(bootstrap: Bootstrap) -> None:
    a, b = row(measured(0), "a"), row(measured(1), "b")
    custom, own = interval(a, "rim", bootstrap), interval(a, "dice", bootstrap)
    assert (custom.estimate, custom.low, custom.high) == (own.estimate, own.low, own.high)
    assert compare(a, b, "rim", bootstrap).p == compare(a, b, "dice", bootstrap).p


def test_slices_without_a_value_are_left_out_as_the_summary_leaves_them_out(bootstrap: Bootstrap) -> None:
    frame = measured()
    frame.loc[::3, "rim"] = np.nan
    found = interval(row(frame), "rim", bootstrap)
    assert found.estimate == pytest.approx(frame["rim"].mean(), abs=1e-12)
    assert found.estimate == pytest.approx(Summary.of(frame, {}, {}, CUSTOM).variants["raw"]["rim"], abs=1e-12)
    assert found.low < found.estimate < found.high


def test_rows_are_compared_where_one_lacks_values(bootstrap: Bootstrap) -> None:
    frame = measured()
    partly = frame.copy()
    partly.loc[::4, "rim"] = np.nan
    better = partly.assign(rim=partly["rim"] + 0.2)
    found = compare(row(better, "better"), row(frame), "rim", bootstrap)
    assert found.difference == pytest.approx(better["rim"].mean() - frame["rim"].mean())
    assert found.p < 0.01
    assert compare(row(partly, "partly"), row(frame), "rim", bootstrap).p > 0.05


def test_a_metric_without_any_value_has_no_interval(bootstrap: Bootstrap) -> None:
    frame = measured(rim=np.nan)
    assert Summary.of(frame, {}, {}, CUSTOM).variants["raw"]["rim"] is None
    found = interval(row(frame), "rim", bootstrap)
    assert (found.estimate, found.low, found.high) == (None, None, None)
    assert compare(row(frame), row(measured(1), "b"), "rim", bootstrap).p is None


def test_an_interval_of_a_signed_metric_reaches_below_zero_and_one_of_a_share_does_not(bootstrap: Bootstrap) -> None:
    frame = measured(seeds=(1, 2, 3))
    # Seeds far apart: their t interval is wider than the values.
    frame["error"] = frame["seed"].map({1: -1.0, 2: 0.0, 3: 2.0})
    frame["rim"] = frame["seed"].map({1: 0.0, 2: 0.1, 3: 0.9})
    assert interval(row(frame), "error", bootstrap).low < 0
    share = interval(row(frame), "rim", bootstrap)
    assert (share.low, share.high) == (0.0, 1.0)


@pytest.mark.parametrize(("shift", "verdict"), [(-0.5, "supported"), (0.5, "contradicted")])
def test_a_claim_follows_the_direction_of_the_metric(shift: float, verdict: str) -> None:
    seeds = (1, 2, 3)
    reference = measured(seeds=seeds, name="b", error=1.0)
    changed = measured(seeds=seeds, name="a", error=1.0 + shift)
    rows = {"a": row(changed, "a"), "b": row(reference, "b")}
    (found,) = judge([Claim("a is nearer", "a", "b", "error")], rows)
    assert found.verdict == verdict


def test_rows_measured_by_different_metrics_of_one_name_are_not_compared() -> None:
    other = custom_metrics({"rim": {"function": "m:rim", "unit": "mm"}})
    with pytest.raises(UserError, match="a and b were measured by different metrics called rim"):
        shared_custom([row(measured(), "a"), row(measured(), "b", other)])
    assert shared_custom([row(measured(), "a"), row(measured(), "b", {"error": CUSTOM["error"]})]) == {
        "error": CUSTOM["error"]
    }


def test_a_cell_leads_to_the_slices_that_have_a_value(tmp_path: Path) -> None:
    frame = measured()
    worst, best = frame["error"].idxmin(), frame["error"].idxmax()
    frame.loc[frame.index[:5].difference([worst, best]), "error"] = np.nan
    publish(tmp_path / "experiments" / "nearest-slice" / "paper", frame.assign(experiment="nearest-slice"), CUSTOM)
    table = tmp_path / "tables" / "paper" / "own.csv"
    table.parent.mkdir(parents=True)
    table.write_text(
        f"row,error,experiment,variant,spec\nNet,{frame['error'].mean():.2f},nearest-slice,raw,{'d' * 12}\n"
    )
    lines = trace(table, "Net", "error").lines()
    assert lines[0] == f"error (mm²) of Net: {frame['error'].mean():.2f}"
    (highest,) = [line for line in lines if line.startswith("  highest")]
    assert f"slice {frame.loc[best, 'slice']} {frame.loc[best, 'error']:.2f}" in highest
    assert "nan" not in "".join(lines)
