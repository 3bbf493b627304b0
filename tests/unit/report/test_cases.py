import numpy as np
import pytest

from mmran.data.published import CLASSES
from mmran.report.figures.cases import chosen_cases, taken_for
from tests.unit.report.evaluated import ROWS, draw, row_of


def row_with(*dice: float, label: int = 2):
    cases = [{"slice": i, "variant": "raw", "label": label, "dice": value} for i, value in enumerate(dice, start=1)]
    return row_of(cases)


def places(row, label: int = 2) -> dict[str, int]:
    return {place: case["slice"] for place, case in chosen_cases(row, label).items()}


def test_the_worst_the_median_and_the_best_slice_of_a_class_are_shown():
    assert places(row_with(0.9, 0.1, 0.5, 0.7, 0.2)) == {"worst": 2, "median": 3, "best": 1}
    # of four, the lower of the two in the middle, .2
    assert places(row_with(0.9, 0.1, 0.7, 0.2)) == {"worst": 2, "median": 4, "best": 1}
    # equal Dice in the order of the numbers
    assert places(row_with(0.5, 0.5, 0.5)) == {"worst": 1, "median": 2, "best": 3}


def test_few_slices_fill_fewer_places_and_none_is_shown_twice():
    assert places(row_with(0.5)) == {"worst": 1}
    assert places(row_with(0.9, 0.4)) == {"worst": 2, "best": 1}
    assert places(row_with(0.9), label=1) == {}


@pytest.mark.parametrize(("predicted", "said"), [(2, ""), (np.nan, ""), (3, "\npredicted pituitary tumor")])
def test_a_wrong_class_is_named(predicted, said):
    assert taken_for({"label": 2, "predicted": predicted}, CLASSES) == said


@pytest.mark.slow
def test_the_figure_has_a_line_per_class_and_names_who_is_left_out(results, tmp_path):
    caption = draw(results, tmp_path, "cases", ROWS[1:])
    assert "Holes filled: Multi." in caption
    assert "Omitted because they predict no masks: Classifier." in caption
    svg = (tmp_path / "figure.svg").read_text()
    for text in ("worst", "median", "best", "meningioma", "glioma", "pituitary tumor"):
        assert f">{text}<" in svg
    assert "No network of this figure predicts masks." in draw(results, tmp_path, "cases", ROWS[1:2])
