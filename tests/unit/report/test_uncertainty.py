import csv

import numpy as np
import pandas as pd
import pytest

from mmran.data.published import CLASSES
from mmran.errors import UserError
from mmran.files import sha256_text
from mmran.metrics.names import metric_names
from mmran.report.formats import to_csv, to_markdown
from mmran.report.tables import metrics_table
from mmran.report.uncertainty import measure
from mmran.statistics.rows import Row
from tests.unit.report.test_tables import SPECS, spec, summary

ALL_METRICS = metric_names(CLASSES)

FAMILIES = 36


def row(label: str, dice: np.ndarray, seeds: int = 1, families: int = FAMILIES) -> Row:
    """A row of two slices per family, the families in the three classes by turns."""
    numbers = np.arange(2 * families)
    cases = pd.DataFrame(
        {
            "slice": numbers,
            "fold": 0,
            "family": [f"P{number // 2:03d}" for number in numbers],
            "label": 1 + (numbers // 2) % 3,
            "variant": "raw",
            "dice": np.repeat(dice, 2),
            "tumor_mm2": 1000.0,
            "image_mm2": 63000.0,
            "predicted": pd.NA,
            "missed": 0,
            "overlaps": 1,
        }
    )
    return Row(
        label, label, "paper", "raw", sha256_text(label), pd.concat([cases.assign(seed=s) for s in range(seeds)])
    )


NOISE = np.random.default_rng(4).normal(0, 0.05, FAMILIES)
BEST = row("best", 0.8 + NOISE)
CLOSE = row("close", 0.7999 + NOISE[::-1])
WORSE = row("worse", 0.7 + NOISE)


def test_a_row_is_bold_by_test_and_not_by_its_second_decimal():
    found = measure([WORSE, CLOSE, BEST], ["dice"])
    assert found.not_worse["dice"] == (False, True, True)
    assert found.n_families == FAMILIES
    assert not found.few_families


def test_an_interval_holds_its_estimate_and_comes_into_csv_and_pages():
    found = measure([WORSE, BEST], ["dice"])
    summaries = {name: summary(name, raw={"dice": dice}) for name, dice in (("fixed-0.2", 0.7), ("dynamic", 0.8))}
    rows = [{"label": "Worse", "experiment": "fixed-0.2"}, {"label": "Best", "experiment": "dynamic"}]
    table = metrics_table(spec(*rows, metrics=("dice",)), summaries, SPECS, found)
    worse, best = csv.DictReader(to_csv(table).splitlines())
    assert float(worse["dice_low"]) < 70 < float(worse["dice_high"]) < float(best["dice_low"]) < 80
    assert worse["n_families"] == str(FAMILIES)
    page = to_markdown(table)
    assert rf"| Worse | 306 | 70.00 \[{worse['dice_low']}, {worse['dice_high']}\] |" in page
    assert "**80.00**" in page
    assert "95 % intervals over 36 patient families; bold: not shown to be worse" in page
    assert "a test applies to these trained weights, not to the networks" in page


def test_few_families_and_one_row_are_said():
    few = measure([row("few", np.linspace(0.6, 0.9, 12), families=12)], ["dice"])
    assert few.few_families
    assert "few families: they are too narrow" in few.note
    assert "bold" not in few.note  # one row is not better than any


def test_three_seeds_of_every_row_certify_methods():
    assert measure([row("a", 0.8 + NOISE, seeds=3), row("b", 0.7 + NOISE, seeds=3)], ["dice"]).certifies_methods
    assert not measure([row("a", 0.8 + NOISE, seeds=3), row("b", 0.7 + NOISE, seeds=2)], ["dice"]).certifies_methods


def test_one_family_alone_gives_no_interval_but_a_line():
    with pytest.raises(UserError, match="all test slices are of patient family P000"):
        measure([row("one", np.array([0.5]), families=1)], ["dice"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL_METRICS)
def test_every_metric_has_an_interval_or_none_and_stops_no_table(results, name):
    folder = results / "experiments" / "multi" / "paper"
    found = measure([Row.read(folder), Row.read(folder, "pkp")], [name])
    assert set(found.intervals[0]) == {name}


def test_a_row_at_chance_is_marked_and_neither_tested_nor_bold():
    # Marking the whole slice has a Dice of 2 * 1000 / 64000 = .031.
    unlearned = row("unlearned", np.full(FAMILIES, 0.03))
    found = measure([unlearned, CLOSE, BEST], ["dice"])
    assert found.not_worse["dice"] == (False, True, True)
    assert "†: at chance, no better than marking the whole slice" in found.note
    summaries = {name: summary(name, raw={"dice": dice}) for name, dice in (("fixed-0.2", 0.03), ("dynamic", 0.8))}
    rows = [{"label": "Unlearned", "experiment": "fixed-0.2"}, {"label": "Best", "experiment": "dynamic"}]
    table = metrics_table(spec(*rows, metrics=("dice",)), summaries, SPECS, measure([unlearned, BEST], ["dice"]))
    assert [cells["at_chance"] for cells in csv.DictReader(to_csv(table).splitlines())] == ["masks", "-"]
    assert "| Unlearned | 306 | 3.00 † " in to_markdown(table)
