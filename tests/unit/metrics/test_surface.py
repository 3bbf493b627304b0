import math
import subprocess
import sys

import numpy as np
import pytest

from mmran.metrics.nearest import nearest_by_scan
from mmran.metrics.surface import assd_mm, border, hd95_mm, nearest_by_pairs, nsd, surface_distances


@pytest.fixture(params=[True, False, None], ids=["scan", "tree", "pairs"])
def compiled(request) -> bool | None:
    return request.param


def at(shape: tuple[int, int], *pixels: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    for row, column in pixels:
        mask[row, column] = True
    return mask


def hd95(prediction, truth, spacing_mm, *, compiled=None) -> float:
    return hd95_mm(surface_distances(prediction, truth, spacing_mm, compiled=compiled))


def test_the_border_is_what_a_cross_erodes():
    mask = np.zeros((6, 7), dtype=bool)
    mask[1:5, 1:6] = True  # 4 x 5; the inner 2 x 3 has four tumor neighbors
    expected = mask.copy()
    expected[2:4, 2:5] = False
    assert np.array_equal(border(mask), expected)


def test_a_hole_that_touches_only_diagonally_makes_no_border():
    mask = np.ones((5, 5), dtype=bool)
    mask[0, 0] = False
    # (1, 1) has four tumor neighbors: only its corner is open.
    assert not border(mask)[1, 1]


def test_the_edge_of_the_image_is_border():
    frame = border(np.ones((4, 4), dtype=bool))
    assert frame.sum() == 12
    assert not frame[1:3, 1:3].any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 5), (5, 2)])
def test_a_mask_too_thin_for_an_inside_is_all_border(shape):
    assert border(np.ones(shape, dtype=bool)).all()


def test_distance_of_two_pixels_is_euclidean_in_mm(compiled):
    # 3 rows and 4 columns apart: 5 pixels of .49 mm.
    shape = (10, 10)
    assert hd95(at(shape, (1, 1)), at(shape, (4, 5)), 0.49, compiled=compiled) == pytest.approx(5 * 0.49)


def test_spacing_of_rows_and_columns_is_kept_apart(compiled):
    shape = (10, 10)
    a, b = at(shape, (1, 1)), at(shape, (4, 5))
    # Rows of 2 mm, columns of 0.5 mm: hypot(3 * 2, 4 * 0.5).
    assert hd95(a, b, (2.0, 0.5), compiled=compiled) == pytest.approx(math.hypot(6, 2))
    assert hd95(a.T, b.T, (0.5, 2.0), compiled=compiled) == pytest.approx(math.hypot(6, 2))


def test_the_nearest_pixel_depends_on_the_spacing(compiled):
    shape = (9, 9)
    a, b = at(shape, (4, 4)), at(shape, (4, 7), (6, 4))
    # There: isotropic 2 (the pixel below). With rows of 3 mm, below is 6 away and the right one 3.
    # Back: percentile 95 of {3, 2} = 2 + .95, and of {3, 6} = 3 + .95 * 3, which is the larger direction.
    assert hd95(a, b, 1.0, compiled=compiled) == pytest.approx(2.95)
    assert hd95(a, b, (3.0, 1.0), compiled=compiled) == pytest.approx(5.85)


def test_the_percentile_interpolates_as_numpy_does(compiled):
    # A row of 11 single pixels, two apart so that each is border, against the first of them: distances
    # 0, 2, ..., 20. Position .95 * 10 = 9.5 lies between 18 and 20.
    shape = (1, 21)
    many, first = at(shape, *((0, 2 * i) for i in range(11))), at(shape, (0, 0))
    assert hd95(many, first, 1.0, compiled=compiled) == pytest.approx(19.0)


def test_the_worse_direction_counts_whichever_mask_is_the_prediction(compiled):
    shape = (1, 21)
    many, first = at(shape, *((0, 2 * i) for i in range(11))), at(shape, (0, 0))
    assert hd95(first, many, 1.0, compiled=compiled) == hd95(many, first, 1.0, compiled=compiled)


def test_five_percent_of_the_border_may_be_arbitrarily_far(compiled):
    # 20 of the prediction's 21 pixels lie on the truth, one lies 100 rows below: position .95 * 20 = 19 exactly, the
    # last of the zeros. Back: all zeros.
    truth = np.zeros((120, 30), dtype=bool)
    truth[0, :20] = True
    prediction = truth.copy()
    prediction[100, 0] = True
    assert hd95(prediction, truth, 1.0, compiled=compiled) == 0.0


def test_squares_one_inside_the_other(compiled):
    outer, inner = np.zeros((20, 20), dtype=bool), np.zeros((20, 20), dtype=bool)
    outer[2:13, 2:13] = True  # 11 x 11, border of 40
    inner[5:10, 5:10] = True  # 5 x 5, border of 16, 3 pixels inside
    # Out: of 40 pixels the 4 corners are hypot(3, 3) away, 2 beside each corner (8) hypot(3, 2), 8 more hypot(3, 1),
    # the other 20 3. Position .95 * 39 = 37.05: among the corners (ranks 36..39). In: at most 3.
    assert hd95(outer, inner, 0.49, compiled=compiled) == pytest.approx(math.hypot(3, 3) * 0.49)


def test_equal_masks_are_at_distance_zero(compiled):
    mask = at((6, 6), (2, 2), (2, 3), (3, 2))
    assert hd95(mask, mask, 0.49, compiled=compiled) == 0


def test_a_lesion_in_the_corner_of_the_frame(compiled):
    # 3 x 3 in the corner, all 8 pixels but the center are border, against the corner pixel alone: distances
    # 0, 1, 1, 2, 2, sqrt 5 twice, sqrt 8; position .95 * 7 = 6.65 between sqrt 5 and sqrt 8.
    lesion = np.zeros((8, 8), dtype=bool)
    lesion[:3, :3] = True
    expected = math.sqrt(5) + 0.65 * (math.sqrt(8) - math.sqrt(5))
    for turns in range(4):
        found = hd95(np.rot90(lesion, turns), np.rot90(at((8, 8), (0, 0)), turns), 1.0, compiled=compiled)
        assert found == pytest.approx(expected)


def test_two_empty_masks_agree(compiled):
    empty = np.zeros((5, 5), dtype=bool)
    distances = surface_distances(empty, empty, 0.49, compiled=compiled)
    assert (distances.both_empty, distances.missed) == (True, False)
    assert (hd95_mm(distances), assd_mm(distances), nsd(distances, 2.0)) == (0, 0, 1)


@pytest.mark.parametrize("order", [1, -1])
def test_one_empty_mask_costs_the_image_diagonal_and_is_flagged(compiled, order):
    masks = (at((30, 40), (3, 3)), np.zeros((30, 40), dtype=bool))[::order]
    distances = surface_distances(*masks, (2.0, 1.0), compiled=compiled)
    assert (distances.both_empty, distances.missed) == (False, True)
    # 30 rows of 2 mm and 40 columns of 1 mm: hypot(60, 40).
    assert hd95_mm(distances) == assd_mm(distances) == pytest.approx(math.hypot(60, 40))
    assert nsd(distances, 1000.0) == 0


def test_assd_is_the_mean_over_both_sets_of_distances(compiled):
    shape = (1, 21)
    many, first = at(shape, *((0, 2 * i) for i in range(11))), at(shape, (0, 0))
    # There 0, 2, ..., 20, sum 110; back 0: 110 / 12, where the mean of the two means would be 5.
    assert assd_mm(surface_distances(many, first, 1.0, compiled=compiled)) == pytest.approx(110 / 12)


def test_nsd_is_the_share_of_both_borders_within_the_tolerance(compiled):
    shape = (1, 21)
    many, first = at(shape, *((0, 2 * i) for i in range(11))), at(shape, (0, 0))
    distances = surface_distances(many, first, 0.5, compiled=compiled)
    # There 0, 1, ..., 10 mm, of which 0, 1 and exactly 2 are within 2 mm; back 0.
    assert nsd(distances, 2.0) == pytest.approx(4 / 12)
    assert nsd(distances, 10.0) == 1


def test_a_miss_costs_the_same_at_half_the_resolution():
    def miss(size: int, spacing_mm: float) -> float:
        return hd95(np.zeros((size, size), bool), at((size, size), (3, 3)), spacing_mm)

    assert miss(256, 0.98) == pytest.approx(miss(512, 0.49))


@pytest.mark.parametrize("spacing_mm", [0.49, 1.0, (0.7, 1.9), (6.0, 0.25)])
@pytest.mark.parametrize("kind", ["sparse", "dense", "apart", "against a spot"])
def test_scan_and_tree_agree_to_a_billionth_of_a_millimeter(kind, spacing_mm):
    random = np.random.default_rng(7)
    for _ in range(5):
        height, width = random.integers(20, 90, size=2)
        rate = 0.01 if kind == "sparse" else 0.4
        prediction = random.random((height, width)) < rate
        truth = random.random((height, width)) < rate
        if kind == "apart":
            prediction[:, width // 3 :] = False
            truth[:, : 2 * width // 3] = False
        if kind == "against a spot":
            truth[:] = False
        prediction[2, 2] = truth[-3, -3] = True
        scan = hd95(prediction, truth, spacing_mm, compiled=True)
        tree = hd95(prediction, truth, spacing_mm, compiled=False)
        assert scan == pytest.approx(tree, abs=1e-9, rel=0)


def test_everything_works_without_numba():
    # None in sys.modules makes `import numba` fail as if it were not installed.
    program = (
        "import sys; sys.modules['numba'] = None\n"
        "import numpy as np\n"
        "from mmran.metrics.surface import hd95_mm, surface_distances\n"
        "a, b = np.zeros((2, 9, 9), dtype=bool)\n"
        "a[1, 1] = b[4, 5] = True\n"
        "print(*(hd95_mm(surface_distances(a, b, 1.0, compiled=compiled)) for compiled in (None, True)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["5.0", "5.0"]


def test_wrong_arguments_are_refused():
    mask = at((5, 5), (2, 2))
    with pytest.raises(ValueError, match="one shape"):
        hd95(mask, mask[:4], 1.0)
    with pytest.raises(ValueError, match="bool"):
        hd95(mask.astype(np.uint8), mask, 1.0)
    for spacing_mm in (0.0, (1.0, -1.0), math.nan):
        with pytest.raises(ValueError, match="positive"):
            hd95(mask, mask, spacing_mm)


def test_all_pairs_are_the_same_bits_as_the_scan():
    noise = np.random.default_rng(3)
    for _ in range(20):
        one, other = (noise.random((24, 31)) < share for share in noise.uniform(0.01, 0.2, 2))
        by_scan = nearest_by_scan(one, other, 0.49, 0.98)
        assert sorted(nearest_by_pairs(one, other, 0.49, 0.98)) == sorted(by_scan)


def test_short_borders_are_measured_without_numba_and_long_ones_with_it():
    code = """
import sys
import numpy as np
from mmran.metrics.surface import surface_distances
mask = np.zeros((400, 400), dtype=bool)
mask[:20, :20] = True
surface_distances(mask, mask.T, 1.0)
assert "numba" not in sys.modules and "mmran.metrics.nearest" not in sys.modules
mask[:, :] = True
surface_distances(mask, mask.T, 1.0)
assert "mmran.metrics.nearest" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
