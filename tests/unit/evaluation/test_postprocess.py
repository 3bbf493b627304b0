import numpy as np
import pytest

from mmran.evaluation.postprocess import VARIANTS, fill_guarded_holes, fill_holes
from mmran.metrics.overlap import bounding_box


def drawn(*rows: str) -> np.ndarray:
    return np.array([[character == "#" for character in row] for row in rows])


def test_an_enclosed_pixel_becomes_tumor():
    mask = drawn(
        ".....",
        ".###.",
        ".#.#.",
        ".###.",
        ".....",
    )
    filled = fill_holes(mask)
    assert filled[2, 2]
    assert filled.sum() == mask.sum() + 1


def test_a_gap_that_is_open_only_across_a_corner_is_enclosed():
    # Background flows in four directions (section 3.5), so it does not slip out diagonally.
    mask = drawn(
        "....",
        ".##.",
        "##.#",
        ".##.",
    )
    assert fill_holes(mask)[2, 2]


def test_a_bay_that_reaches_the_outside_stays_background():
    mask = drawn(
        ".....",
        ".###.",
        ".#...",
        ".###.",
        ".....",
    )
    assert np.array_equal(fill_holes(mask), mask)


def test_a_bay_that_opens_onto_the_edge_of_the_frame_stays_background():
    mask = drawn(
        "#.#",
        "###",
        "...",
    )
    assert np.array_equal(fill_holes(mask), mask)


@pytest.mark.parametrize("turns", range(4))
def test_a_lesion_in_a_corner_of_the_frame_does_not_flood_the_frame(turns):
    # A flood fill from pixel (0, 0) without a rim would start inside this lesion and call the rest enclosed.
    mask = np.rot90(
        drawn(
            "###...",
            "#.#...",
            "###...",
            "......",
            "......",
            "......",
        ),
        turns,
    )
    filled = fill_holes(mask)
    assert filled.sum() == 9
    assert filled[mask].all()


def test_holes_of_several_lesions_are_filled_and_an_island_in_a_hole_is_kept():
    mask = drawn(
        "#####.###",
        "#...#.#.#",
        "#.#.#.###",
        "#...#....",
        "#####....",
    )
    filled = fill_holes(mask)
    assert filled[0:5, 0:5].all()
    assert filled[0:3, 6:9].all()
    assert filled.sum() == 25 + 9


@pytest.mark.parametrize("value", [False, True])
def test_an_empty_and_a_full_mask_stay_as_they_are(value):
    mask = np.full((4, 6), value)
    assert np.array_equal(fill_holes(mask), mask)


def test_the_input_is_left_alone():
    mask = drawn("###", "#.#", "###")
    before = mask.copy()
    filled = fill_holes(mask)
    filled[0, 0] = False
    assert np.array_equal(mask, before)


@pytest.mark.parametrize("mask", [np.ones((3, 3), np.uint8), np.ones((1, 3, 3), bool)])
def test_anything_but_a_boolean_image_is_refused(mask):
    with pytest.raises(ValueError, match="bool mask"):
        fill_holes(mask)


def test_bounding_box_holds_every_true_pixel_and_no_empty_rim():
    mask = np.zeros((7, 9), dtype=bool)
    mask[2, 3] = mask[5, 8] = True
    assert bounding_box(mask) == (slice(2, 6), slice(3, 9))
    assert bounding_box(np.zeros((7, 9), dtype=bool)) is None


def test_a_guarded_filling_takes_holes_smaller_than_the_component_around_them():
    mask = drawn(
        "####.......",
        "#..#.#####.",
        "#..#.#...#.",
        "####.#...#.",
        ".....#...#.",
        ".....#...#.",
        ".....#...#.",
        ".....#####.",
    )
    # Left: a rim of 12 around 4 pixels. Right: a rim of 20 around 15.
    assert np.array_equal(fill_guarded_holes(mask), fill_holes(mask))
    wider = np.zeros((9, 9), dtype=bool)
    wider[:8, :8] = True
    wider[1:7, 1:7] = False  # 28 pixels around 36
    assert np.array_equal(fill_guarded_holes(wider), wider)


def test_a_guarded_filling_asks_the_outer_rim_and_not_an_island():
    # A rim of 16 around a hole of 8 around an island of one pixel: the hole is larger than the island alone.
    mask = drawn(
        "#####",
        "#...#",
        "#.#.#",
        "#...#",
        "#####",
    )
    assert fill_guarded_holes(mask).all()


def test_a_rim_that_is_closed_only_across_corners_is_one_component():
    # Eight single pixels, joined diagonally, around a hole of 5.
    mask = drawn(
        "..#..",
        ".#.#.",
        "#...#",
        ".#.#.",
        "..#..",
    )
    assert np.array_equal(fill_guarded_holes(mask), fill_holes(mask))
    assert fill_guarded_holes(mask).sum() == 13


def test_no_variant_removes_tumor_or_changes_its_input():
    mask = np.random.default_rng(0).random((40, 40)) < 0.62
    before = mask.copy()
    sizes = [np.count_nonzero(postprocess(mask)) for postprocess in VARIANTS.values()]
    assert all((postprocess(mask) >= before).all() for postprocess in VARIANTS.values())
    assert np.array_equal(mask, before)
    assert sizes[0] < sizes[2] <= sizes[1]
