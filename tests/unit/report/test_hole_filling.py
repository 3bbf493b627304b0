import pytest

from mmran.data.store import SliceStore
from mmran.report.figures.hole_filling import largest_gains
from mmran.report.figures.rows import Row
from tests.unit.report.evaluated import ROWS, draw, row_of


def gains_row(*dice: tuple[int, float, float], **changes) -> Row:
    common = {"label": 1, "seed": 7}
    cases = [
        {"slice": number, "variant": variant, "dice": value, **common}
        for number, before, after in dice
        for variant, value in (("raw", before), ("pkp", after))
    ]
    return row_of(cases, **changes)


def test_the_two_slices_that_gain_most_are_shown_best_first_and_never_a_loss():
    # gains: slice 1 .1, slice 2 .3, slice 3 -.2, slice 4 .3, slice 5 0
    row = gains_row((1, 0.5, 0.6), (4, 0.25, 0.55), (2, 0.25, 0.55), (3, 0.7, 0.5), (5, 0.9, 0.9))
    gains = largest_gains(row)
    assert gains["slice"].tolist() == [2, 4]  # equal gains in the order of the numbers
    assert gains["gain"].tolist() == pytest.approx([0.3, 0.3])
    assert largest_gains(gains_row((1, 0.5, 0.6), (3, 0.7, 0.5)))["slice"].tolist() == [1]
    assert largest_gains(gains_row((3, 0.7, 0.5), (5, 0.9, 0.9))).empty


@pytest.mark.slow
def test_the_caption_of_hole_filling_has_the_gain_in_points_and_the_papers(results, tmp_path):
    caption = draw(results, tmp_path, "hole-filling", ROWS[2:], paper_gain=[1.83, 5.14])
    with SliceStore(results / "data" / "slices.h5") as store:
        areas = store.index.set_index("slice")["tumor_px"]
    best = areas.sort_values().index[-3]  # of three masks that each lack one pixel, the smallest gains most
    before = 2 * (areas[best] - 1) / (2 * areas[best] - 1)
    assert f"slice {best}: Dice {100 * before:.2f} % to 100.00 %, {100 - 100 * before:.2f} points more" in caption
    assert "(b)" in caption
    assert "(c)" not in caption
    assert "The paper shows gains of 1.83 and 5.14 points." in caption


@pytest.mark.slow
def test_a_figure_without_an_eligible_slice_says_so_on_its_canvas(results, tmp_path):
    caption = draw(results, tmp_path, "hole-filling", ROWS[:1])
    assert "No test slice of Segmenter et al. gains Dice from hole filling" in caption
    assert (tmp_path / "figure.png").stat().st_size > 0
    assert "no holes to fill" in draw(results, tmp_path, "hole-filling", ROWS[1:2])
    assert "No network of this figure predicts masks." in draw(results, tmp_path, "outlines", ROWS[1:2])
    for kind in ("confusion", "roc"):
        assert "No network of this figure predicts classes." in draw(results, tmp_path, kind, ROWS[:1])
