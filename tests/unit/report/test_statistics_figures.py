"""Figures of kind forest and reliability."""

import matplotlib.style
import numpy as np
import pytest

from mmran.report.figures import forest, reliability, style
from mmran.report.figures.forest import differences
from mmran.report.figures.reliability import curve
from tests.unit.report.evaluated import ROWS, read, row_of, spec_of


def test_each_network_is_compared_with_the_last_row_where_both_have_the_task(results):
    rows = read(results, ROWS)
    dice, accuracy = differences(rows, rows[2], "dice"), differences(rows, rows[2], "acc")
    assert [(one.row, one.against) for one in dice] == [("Segmenter et al.", "Multi")]
    assert [(one.row, one.against) for one in accuracy] == [("Classifier", "Multi")]
    expected = rows[0].summary.variants["raw"]["dice"] - rows[2].summary.variants["pkp"]["dice"]
    assert dice[0].difference == pytest.approx(expected, abs=1e-12)
    assert differences([rows[2], rows[1]], rows[1], "dice") == []  # the reference has no masks


def test_a_forest_plot_draws_points_and_names_limits(results):
    with matplotlib.style.context(["default", style.RC]):
        drawing = forest.draw(spec_of("forest"), read(results, ROWS))
        dice, accuracy = drawing.figure.axes
    assert [label.get_text() for label in dice.get_yticklabels()] == ["Segmenter et al.", "Classifier"]
    points = [line for axes in (dice, accuracy) for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_ydata()[0] for line in points] == [0, 1]
    assert "few: they are too narrow" in drawing.caption
    assert "Without masks: Classifier." in drawing.caption
    assert "a test applies to these trained weights" in drawing.caption


def test_a_forest_plot_compares_with_the_row_that_it_names(results):
    with matplotlib.style.context(["default", style.RC]):
        drawing = forest.draw(spec_of("forest", against="Segmenter et al."), read(results, ROWS))
        dice, accuracy = drawing.figure.axes
    assert dice.get_xlabel() == "difference to Segmenter et al. (points)"
    points = [[line for line in axes.lines if line.get_marker() == "o"] for axes in (dice, accuracy)]
    assert [len(found) for found in points] == [1, 0]  # only Multi has masks too, and the reference has no classes
    assert "Each network minus Segmenter et al. on" in drawing.caption


def test_a_forest_plot_without_a_common_task_or_with_one_family_says_so(results):
    rows = read(results, ROWS)
    assert "shares a task with Classifier" in forest.draw(spec_of("forest"), [rows[0], rows[1]]).caption
    cases = rows[0].cases.assign(family="P1")
    one = row_of([], label="One", summary=rows[0].summary)
    alone = [type(one)("One", "one", 0, "raw", cases, rows[0].summary, one.predictions)] * 2
    assert (
        "No differences: One: all test slices are of patient family P1" in forest.draw(spec_of("forest"), alone).caption
    )


def test_a_reliability_curve_has_ten_bins_of_equal_number_within_the_possible_range(results):
    row = read(results, ROWS)[2]
    confidence, accuracy = curve(row)
    assert len(confidence) == len(accuracy) == 10
    assert np.all(np.diff(confidence) > 0)
    assert confidence.min() >= 1 / 3
    # Bins of nearly equal size: the mean of the bins is near the accuracy of all slices.
    assert accuracy.mean() == pytest.approx(row.summary.variants["raw"]["acc"], abs=0.05)


def test_a_reliability_figure_names_the_error_of_each_network(results):
    with matplotlib.style.context(["default", style.RC]):
        drawing = reliability.draw(spec_of("reliability"), read(results, ROWS))
        legend = [text.get_text() for text in drawing.figure.axes[0].get_legend().get_texts()]
    assert [text.split()[-1] for text in legend] == ["Classifier", "Multi"]
    assert "Omitted because they predict no classes: Segmenter et al. Protocol" in drawing.caption
    assert "No network" in reliability.draw(spec_of("reliability"), read(results, ROWS[:1])).caption
