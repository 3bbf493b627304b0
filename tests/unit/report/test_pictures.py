import numpy as np
import pandas as pd
import pytest

from mmran.data.store import SliceStore
from mmran.errors import UserError
from mmran.evaluation.prediction_writer import PredictionWriter
from mmran.report.figures import style
from mmran.report.figures.outlines import Layout, chosen_slices
from mmran.report.figures.pictures import Box, check_store, head_box, outline, predicted_masks, square_around, windowed
from mmran.report.figures.rows import Row
from tests.unit.report.evaluated import MULTITASK, ROWS, read, row_of


def index_of(*entries: tuple[int, int, float]) -> pd.DataFrame:
    return pd.DataFrame(entries, columns=["slice", "tumor_px", "spacing_mm"])


def row_tested_on(*numbers: int) -> Row:
    return row_of([{"slice": number, "variant": "raw", "dice": 0.5} for number in numbers])


def test_the_large_and_the_small_tumor_stand_at_the_90th_and_10th_percentile_of_area():
    index = index_of(*((number, 100 * number, 1.0) for number in range(1, 12)))
    # eleven slices: rank .9 * 10 = 9 counted from zero is the tenth, rank 1 the second
    assert chosen_slices([row_tested_on(*range(1, 12))], index) == {"Large tumor": 10, "Small tumor": 2}
    # three slices in common, 4, 5 and 6: ranks 1.8 and .2 are the last and the first
    assert chosen_slices([row_tested_on(4, 5, 6, 7), row_tested_on(3, 4, 5, 6)], index) == {
        "Large tumor": 6,
        "Small tumor": 4,
    }
    assert chosen_slices([row_tested_on(3)], index) == {"Large tumor": 3}
    assert chosen_slices([row_tested_on(3), row_tested_on(4)], index) == {}


def test_areas_are_compared_in_mm2_not_in_pixels():
    # 100 pixels of 4 mm² are more than 300 of 1 mm²
    index = index_of((1, 300, 1.0), (2, 100, 2.0))
    assert chosen_slices([row_tested_on(1, 2)], index) == {"Large tumor": 2, "Small tumor": 1}


def test_more_networks_than_columns_go_on_in_another_band():
    assert Layout.of(8).columns == Layout.of(9).columns == 8
    one, two = Layout.of(8), Layout.of(9)
    assert two.block - one.block == pytest.approx(one.band)
    assert Layout.of(2).panel <= 1.4


def test_the_tumors_of_few_networks_are_beside_each_other_and_of_more_below():
    few, more = Layout.of(2), Layout.of(3)
    width = 2 * few.panel
    assert few.place(0) == (0, 0)
    left, top = few.place(1)
    assert top == 0
    assert width < left < style.WIDTH_INCHES - width
    assert more.place(1) == (0, more.block)


def test_the_enlarged_square_keeps_inside_the_frame():
    mask = np.zeros((64, 64), bool)
    mask[0:10, 54:64] = True
    # ten pixels and as much again, in the upper right corner
    assert square_around(mask, margin=1.0) == Box(0, 44, 20, 64)
    assert square_around(np.zeros((64, 48), bool), margin=0.5) == Box(8, 0, 56, 48)  # no lesion: the whole width


def test_no_mask_is_cut_off_with_the_air_around_the_head():
    picture = np.zeros((64, 64), np.float32)
    picture[20:40, 20:40] = 1
    far = np.zeros((64, 64), bool)
    far[60, 60] = True
    near = head_box(picture, Box(25, 25, 35, 35))
    assert near == Box(20, 20, 40, 40)
    assert head_box(picture, Box(25, 25, 35, 35), far).bottom > 60


def test_an_empty_mask_has_no_outline_and_one_at_the_edge_is_closed():
    axes = style.place(style.new_figure(1), 0, 0, 1, 1)
    outline(axes, np.zeros((4, 4), bool), 1.0, color="#D55E00")
    assert not axes.collections
    outline(axes, np.ones((4, 4), bool), 1.0, color="#D55E00")
    points = axes.collections[0].get_paths()[0].vertices
    assert points[0].tolist() == points[-1].tolist()
    assert (points.min(), points.max()) == (-0.5, 3.5)


def test_pictures_are_of_the_first_seed(results):
    row = read(results, ROWS[2:])[0]
    assert row.seeds == [7, 9]
    with SliceStore(results / "data" / "slices.h5") as store:
        number = store.index.sort_values("tumor_px")["slice"].tolist()[-1]
        truth = store.read(number)[1] != 0
    # only the first seed's mask is hollow, by one pixel
    assert (truth & ~predicted_masks(row, [number], "raw")[number]).sum() == 1
    assert np.array_equal(predicted_masks(row, [number], "pkp")[number], truth)
    assert set(row.pictured("raw")["seed"]) == {7}


def test_another_store_or_other_predictions_than_those_measured_are_refused(results, tmp_path):
    row = read(results, ROWS[2:])[0]
    other = {"data": "0" * 64, "spec": "0" * 64, "split": "0" * 64}
    with PredictionWriter(tmp_path / "predictions.h5", MULTITASK, "paper", other) as writer:
        writer.add(1, 7, 0, np.ones((4, 4)), None)
    moved = row_of([], predictions=tmp_path / "predictions.h5", summary=row.summary)
    with pytest.raises(UserError, match=r"predictions\.h5: its digest of the .* is not the one in the summary"):
        predicted_masks(moved, [1], "raw")
    with SliceStore(results / "data" / "slices.h5") as store:
        check_store([row], store)
        store.digest = "0" * 64
        with pytest.raises(UserError, match="give the store that it was predicted from"):
            check_store([row], store)


def test_red_green_and_blue_are_shown_in_color_and_of_other_channels_the_first():
    image = np.zeros((3, 20, 30), np.uint8)
    image[0, :10, :10], image[1, 10:14, 10:20] = 200, 100  # red; green, half as bright
    gray = windowed(image, ("t1", "t2", "flair"))
    assert gray.shape == (20, 30)
    assert np.array_equal(gray == 1, image[0] == 200)
    color = windowed(image, ("red", "green", "blue"))
    assert color.shape == (20, 30, 3)
    assert color[6, 6].tolist() == [1, 0, 0]
    assert color[12, 12].tolist() == [0, 0.5, 0]
    assert head_box(color, Box(6, 6, 8, 8), np.zeros((20, 30), bool)) == head_box(
        image.max(axis=0) / np.float32(200), Box(6, 6, 8, 8), np.zeros((20, 30), bool)
    )
