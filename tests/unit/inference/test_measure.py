"""Numbers of a mask, derived by hand, and where the network's square lies."""

import math

import numpy as np
import pytest

from mmran.config.experiment import Input
from mmran.inference.measure import csv_lines, entropy_bits, longest_diameter, touches_frame
from mmran.inference.placement import Placement, Spacing
from mmran.inference.record import TrainingImages


def drawn(*pixels: tuple[int, int]) -> np.ndarray:
    mask = np.zeros((12, 12), dtype=bool)
    for row, column in pixels:
        mask[row, column] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "spacing", "expected"),
    [
        (drawn(), (1.0, 1.0), 0.0),
        (drawn((3, 3)), (1.0, 1.0), math.sqrt(2)),  # the diagonal of one pixel
        (drawn((3, 3), (3, 4), (3, 5)), (1.0, 1.0), math.hypot(1, 3)),
        (drawn((3, 3), (3, 4), (3, 5)), (2.0, 0.5), math.hypot(2, 1.5)),  # 1 row of 2 mm, 3 columns of 0.5 mm
        (drawn((3, 3), (4, 4)), (1.0, 1.0), math.hypot(2, 2)),  # pixels that touch at a corner are one piece
        (drawn((0, 0), (11, 11)), (1.0, 1.0), math.sqrt(2)),  # two pieces, each of one pixel
    ],
)
def test_the_longest_diameter_runs_from_corner_to_corner_of_one_piece(
    mask: np.ndarray, spacing: Spacing, expected: float
) -> None:
    assert longest_diameter(mask, spacing) == pytest.approx(expected)


def test_entropy_is_in_bits() -> None:
    assert entropy_bits([1, 0, 0]) == 0
    assert entropy_bits([0.5, 0.25, 0.25]) == 1.5
    assert entropy_bits([1 / 4] * 4) == 2


def test_a_cell_is_no_formula() -> None:
    assert csv_lines([{"file": "=1+1.png", "value": None}], header=True) == "file,value\n'=1+1.png,\n"


TRAINED = TrainingImages(
    slices=10,
    sizes=("512x512", "256x256"),
    image_type="<i2",
    field_of_view_mm=250.88,
    spacing_mm=(0.49, 0.98),
    network_spacing_mm=(0.49, 0.98),
    network_spacing_median_mm=0.49,
    mean=(0.1, 0.3),
    std=(0.1, 0.3),
    tumor_mm2=(50, 5000),
)
PAD, RESAMPLE = Input(512, "pad", (1, 99)), Input(512, "resample", (1, 99))


def placed(shape: tuple[int, int], spacing: Spacing | None, options: Input = PAD) -> Placement:
    return Placement.of(shape, spacing, options, TRAINED)


@pytest.mark.parametrize(
    ("shape", "spacing"), [((512, 512), (0.49, 0.49)), ((256, 256), (0.98, 0.98)), ((300, 256), None)]
)
def test_an_image_like_those_of_training_is_fitted_as_they_were(
    shape: tuple[int, int], spacing: Spacing | None
) -> None:
    found = placed(shape, spacing)
    assert found.field is None
    assert found.note == ""


def test_other_pixels_are_scaled_to_those_of_training_and_the_margin_is_cut_off() -> None:
    # 512 network pixels of 0.49 mm are 250.88 mm: 209 pixels of 1.2 mm.
    found = placed((240, 200), (1.2, 1.2))
    assert found.field == 209
    assert found.note == "pixels of 1.2 mm, training 0.49 to 0.98 mm: scaled to 0.49 mm, with its margin cropped"
    assert found.seen() == (slice(15, 224), slice(0, 200))


def test_oblong_pixels_become_square_first() -> None:
    # Rows of 2 mm, columns of 0.5 mm: 60 x 200 pixels become 240 x 200 of 0.5 mm, within the range of training.
    found = placed((60, 200), (2.0, 0.5))
    assert found.square_shape == (240, 200)
    assert found.field is None


@pytest.mark.parametrize("options", [PAD, RESAMPLE])
@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((200, 240), (1.2, 1.2)), ((60, 200), (2.0, 0.5)), ((700, 600), None), ((90, 80), (0.2, 0.2))],
)
def test_a_square_comes_back_to_its_place(shape: tuple[int, int], spacing: Spacing | None, options: Input) -> None:
    found = placed(shape, spacing, options)
    image = np.zeros(shape, dtype=np.float32)
    rows, columns = slice(shape[0] // 2 - 8, shape[0] // 2 + 8), slice(shape[1] // 3, shape[1] // 3 + 16)
    image[rows, columns] = 1
    fitted = found.to_network(image)
    assert fitted.shape == (512, 512)
    back = found.to_image(fitted) >= 0.5
    assert back.shape == shape
    differing = np.count_nonzero(back != (image > 0.5))
    assert differing <= 64  # at most the 64 pixels along the border of 16 x 16


def test_a_mask_touches_the_frame_of_what_the_network_saw() -> None:
    found = placed((240, 200), (1.2, 1.2))  # rows 15 to 223 are seen
    mask = np.zeros((240, 200), dtype=bool)
    mask[16:200, 100] = True
    assert not touches_frame(mask, found)
    mask[15, 100] = True
    assert touches_frame(mask, found)
