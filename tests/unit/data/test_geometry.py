"""Native slices to the network's square and back, on slices small enough to work out by hand."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from mmran.data.cheng import read_slice
from mmran.data.geometry import fit_image, fit_mask, network_spacing_mm, restore
from mmran.errors import UserError


def test_padding_centers_the_slice_in_zeros():
    padded = fit_image(np.array([[1, 2], [3, 4]], np.int16), 4, "pad")
    assert padded.dtype == np.int16
    assert padded.tolist() == [[0, 0, 0, 0], [0, 1, 2, 0], [0, 3, 4, 0], [0, 0, 0, 0]]


def test_an_odd_pixel_of_padding_goes_below_and_to_the_right():
    assert fit_image(np.full((1, 2), 5, np.uint8), 2, "pad", fill=9).tolist() == [[5, 5], [9, 9]]
    assert fit_mask(np.full((1, 1), 255, np.uint8), 2, "pad").tolist() == [[1, 0], [0, 0]]


def test_shrinking_averages_areas():
    # 3 pixels into 2: each takes one and a half, so 2/3 of a whole pixel and 1/3 of a half one.
    # Rows (0, 3, 9) -> (2/3 * 0 + 1/3 * 3, 1/3 * 3 + 2/3 * 9) = (1, 7)
    image = np.tile(np.array([0, 3, 9], np.float32), (3, 1))
    np.testing.assert_allclose(fit_image(image, 2, "resample"), [[1, 7], [1, 7]], rtol=1e-6)


def test_growing_interpolates_between_pixel_centers():
    # Output centers lie at input positions -.25, .25, .75, 1.25; the edge's value holds beyond the outer centers.
    image = np.tile(np.array([0, 4], np.int16), (2, 1))
    assert fit_image(image, 4, "resample").tolist() == [[0, 1, 3, 4]] * 4


@pytest.mark.parametrize(("native", "size", "mode"), [(48, 12, "area"), (20, 33, "bilinear")])
def test_resampling_equals_interpolation_of_torch(native, size, mode):
    image = np.random.default_rng(1).random((native, native), dtype=np.float32)
    expected = functional.interpolate(torch.from_numpy(image)[None, None], size=(size, size), mode=mode)
    np.testing.assert_allclose(fit_image(image, size, "resample"), expected[0, 0], atol=1e-5)


def test_integers_are_rounded_not_cut():
    assert fit_image(np.array([[0, 1], [1, 1]], np.uint8), 1, "resample").tolist() == [[1]]


def test_resampling_keeps_the_shape_of_what_is_not_square():
    # 2 x 4 becomes 4 x 4 with a row of zeros above and below, then half of it: rows (0 + 8) / 2.
    assert fit_image(np.full((2, 4), 8, np.float32), 2, "resample").tolist() == [[4, 4], [4, 4]]


def test_the_majority_decides_a_mask_and_half_is_tumor():
    quarters = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 1, 0]], np.uint8)
    # Shares of the 2 x 2 blocks: 1/4, 2/4; 2/4, 3/4.
    assert fit_mask(quarters, 2, "resample").tolist() == [[0, 1], [1, 1]]


def test_half_is_tumor_also_where_the_shares_are_not_exact_in_binary():
    # 10 columns into 3: the middle one spans 3.33 to 6.67, and the tumor ends at 5.
    mask = np.zeros((10, 10), np.uint8)
    mask[:, :5] = 1
    assert fit_mask(mask, 3, "resample").tolist() == [[1, 1, 0]] * 3


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (8, 8), (1, 3)])
def test_padding_is_undone_exactly(shape):
    image = np.random.default_rng(2).random(shape, dtype=np.float32)
    np.testing.assert_array_equal(restore(fit_image(image, 8, "pad"), *shape, "pad"), image)


@pytest.mark.parametrize(("shape", "size"), [((40, 40), 20), ((40, 30), 20), ((20, 20), 50), ((33, 40), 64)])
def test_resampling_is_undone_where_the_image_is_smooth(shape, size):
    rows, columns = np.meshgrid(*(np.arange(n) / 40 for n in shape), indexing="ij")
    image = (rows + 2 * columns + 1).astype(np.float32)
    back = restore(fit_image(image, size, "resample"), *shape, "resample")
    assert back.shape == shape
    # The border mixes with what is held or padded beyond it; inside, a plane comes back to within a tenth of a pixel.
    np.testing.assert_allclose(back[4:-4, 4:-4], image[4:-4, 4:-4], atol=0.1 * 2 / 40)


def test_spacing_follows_the_pixels():
    assert network_spacing_mm(0.49, 512, 512, 512, "pad") == 0.49
    assert network_spacing_mm(0.98, 256, 256, 512, "pad") == 0.98
    assert network_spacing_mm(0.49, 512, 512, 128, "resample") == pytest.approx(1.96)
    # Not square: the longer side, 400, is what fills the network's 200.
    assert network_spacing_mm(0.5, 300, 400, 200, "resample") == 1.0


def test_a_slice_too_large_to_pad_is_refused_with_the_remedy():
    with pytest.raises(UserError, match=r"input\.size: .*512 x 512.*256 x 256.*at least 512.*resample"):
        fit_image(np.zeros((512, 512), np.uint8), 256, "pad")


def test_an_unknown_fit_lists_the_known_ones():
    with pytest.raises(UserError, match=r"input\.fit: 'crop'.*pad, resample"):
        fit_mask(np.zeros((4, 4), np.uint8), 4, "crop")


@pytest.mark.real
def test_real_masks_survive_half_size_and_back(real_full_sample):
    for path in sorted(real_full_sample.glob("[0-9]*.mat"))[::8]:
        mask = read_slice(path).mask
        small = fit_mask(mask, 256, "resample").astype(np.float32)
        back = restore(small, *mask.shape, "resample") >= 0.5
        dice = 2 * (back & (mask > 0)).sum() / (back.sum() + mask.sum())
        assert dice > 0.95, path.name
