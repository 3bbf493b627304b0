"""The fused transforms against scipy.ndimage and MONAI: the same positions give the same pixels."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from mmran.data.augment import augment, draw_control_points, draw_transforms, sampling_grid
from mmran.data.augmentation import REFERENCE_SIZE, Augmentation
from tests.paper import paper_augmentation

CPU = torch.device("cpu")
NO_NOISE = {"probability": 1.0, "noise_sigma": 0.0}
CASES = {
    "flips": {"rotation_degrees": 0, "elastic_alpha": 0},
    "rotation": {"horizontal_flip": False, "vertical_flip": False, "elastic_alpha": 0},
    "elastic": {"horizontal_flip": False, "vertical_flip": False, "rotation_degrees": 0},
    "all": {},
}


def smooth_image(size: int) -> np.ndarray:
    noise = np.random.default_rng(size).random((size, size))
    image = ndimage.gaussian_filter(noise, 1.5)
    return ((image - image.min()) / np.ptp(image)).astype(np.float32)


def positions_in_pixels(number: int, size: int, augmentation: Augmentation) -> np.ndarray:
    """(2, S, S) rows and columns, worked out apart from the code: rotate, flip, in pixels about the center."""
    matrix = draw_transforms([number], 1029, 0, augmentation).matrix[0].astype(np.float64)
    rows, columns = np.meshgrid(*[np.arange(size) - (size - 1) / 2] * 2, indexing="ij")
    x, y = columns, rows
    if augmentation.elastic_alpha:
        # Displacements before the matrix: the identity in its place, and half image sides into pixels.
        control = draw_control_points([number], 1029, 0, np.eye(2, dtype=np.float32)[None], augmentation)
        field = sampling_grid(np.zeros((1, 2, 2), np.float32), control, size, CPU)[0].numpy() * (size / 2)
        x, y = x + field[0], y + field[1]
    read_x, read_y = matrix[0, 0] * x + matrix[0, 1] * y, matrix[1, 0] * x + matrix[1, 1] * y
    return np.stack([read_y, read_x]) + (size - 1) / 2


@pytest.mark.parametrize("size", [64, 128, 90])
@pytest.mark.parametrize("case", CASES)
def test_images_and_masks_equal_map_coordinates(case, size):
    augmentation = paper_augmentation(**NO_NOISE, **CASES[case])
    image = smooth_image(size)
    mask = (image > 0.55).astype(np.float32)
    where = positions_in_pixels(955, size, augmentation)
    pair = (torch.from_numpy(values.copy())[None, None] for values in (image, mask))
    new_image, new_mask = augment(*pair, [955], 1029, 0, augmentation)

    expected = ndimage.map_coordinates(image, where, order=1, mode="grid-constant")
    np.testing.assert_allclose(new_image[0, 0], expected, atol=2e-5)
    nearest = ndimage.map_coordinates(mask, where, order=0, mode="grid-constant")
    # Where a position lies halfway between two pixels, float32 and float64 may take different ones.
    halfway = (np.abs(where % 1 - 0.5) < 1e-3).any(0)
    assert halfway.mean() < 0.01
    np.testing.assert_array_equal(new_mask[0, 0].numpy()[~halfway], nearest[~halfway])


def test_rotation_equals_monai():
    transforms = pytest.importorskip("monai.transforms")
    augmentation = paper_augmentation(**NO_NOISE, **CASES["rotation"])
    matrix = draw_transforms([3], 1029, 0, augmentation).matrix[0]
    image = torch.from_numpy(smooth_image(96))
    angle = float(np.arctan2(matrix[1, 0], matrix[0, 0]))
    turned, _ = augment(image[None, None].clone(), torch.zeros(1, 1, 96, 96), [3], 1029, 0, augmentation)
    # MONAI's first axis points down as ours does, but is the first coordinate: its angle has the other sign.
    expected = transforms.Rotate(-angle, padding_mode="zeros", align_corners=False)(image[None])
    torch.testing.assert_close(turned[0], torch.as_tensor(expected.numpy()), rtol=0, atol=1e-4)


def half_length(fields: np.ndarray) -> float:
    """Distance in pixels at which the autocorrelation of (n, S, S) fields along a row falls to one half."""
    spectrum = np.abs(np.fft.rfft(fields, n=2 * fields.shape[-1])) ** 2
    correlation = np.fft.irfft(spectrum.mean((0, 1)))[:32]
    correlation /= np.arange(fields.shape[-1], fields.shape[-1] - 32, -1)
    correlation /= correlation[0]
    below = int(np.argmax(correlation < 0.5))
    return below - (0.5 - correlation[below]) / (correlation[below - 1] - correlation[below])


@pytest.mark.parametrize("sigma", [4.0, 6.0])
def test_the_spline_field_is_as_strong_and_as_smooth_as_the_filtered_one(sigma):
    augmentation = paper_augmentation(elastic_sigma=sigma)
    size = REFERENCE_SIZE
    identity = np.tile(np.eye(2, dtype=np.float32), (8, 1, 1))
    control = draw_control_points(np.arange(8), 1029, 0, identity, augmentation)
    spline = sampling_grid(0 * identity, control, size, CPU).numpy().reshape(16, size, size) * (size / 2)
    noise = np.random.default_rng(0).uniform(-1, 1, (16, size, size))
    filtered = augmentation.elastic_alpha * ndimage.gaussian_filter(noise, sigma, axes=(1, 2), mode="wrap")
    # Sixteen fields of some thousand independent patches: both figures are known to about 1 %.
    assert spline.std() / filtered.std() == pytest.approx(1, abs=0.03)
    # At equal variance the spline's correlation falls to a half at 1.715 sigma, the Gaussian's at 1.665: 3 % apart.
    assert half_length(spline) / half_length(filtered) == pytest.approx(1.03, abs=0.04)
