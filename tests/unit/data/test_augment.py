"""The five transforms: each does what its name says, and a slice's result depends on its counters only."""

import math

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmran.data.augment import augment, draw_control_points, draw_transforms, sampling_grid
from mmran.data.augmentation import Augmentation
from mmran.errors import UserError
from tests.paper import paper_augmentation

CPU = torch.device("cpu")
OFF = {"horizontal_flip": False, "vertical_flip": False, "rotation_degrees": 0, "noise_sigma": 0, "elastic_alpha": 0}
NO_CONTROL = np.zeros((0, 2, 4, 4), np.float32)


def batch(n: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random images, and a rectangle as mask that no transform maps onto itself."""
    images = torch.rand((n, 1, size, size), generator=torch.Generator().manual_seed(size))
    masks = torch.zeros((n, 1, size, size))
    masks[..., size // 4 : size // 2, size // 3 : size // 2 + 3] = 1
    return images, masks


def only(**chosen) -> Augmentation:
    """An augmentation in which the chosen transforms happen always, and no other ever."""
    return paper_augmentation(**{"probability": 1.0, **OFF, **chosen})


@pytest.mark.parametrize("augmentation", [paper_augmentation(probability=0), only()])
def test_nothing_happens_where_nothing_is_drawn(augmentation):
    images, masks = batch(4, 48)
    new_images, new_masks = augment(images.clone(), masks.clone(), np.arange(4), 1, 2, augmentation)
    assert torch.equal(new_images, images)
    assert torch.equal(new_masks, masks)


@pytest.mark.parametrize(("flip", "axis"), [("horizontal_flip", -1), ("vertical_flip", -2)])
def test_a_flip_is_exact(flip, axis):
    images, masks = batch(2, 64)
    new_images, new_masks = augment(images.clone(), masks.clone(), [5, 6], 1, 2, only(**{flip: True}))
    assert torch.equal(new_images, images.flip(axis))
    assert torch.equal(new_masks, masks.flip(axis))


def test_a_quarter_turn_of_the_grid_reads_the_image_turned_counter_clockwise():
    image = torch.arange(16, dtype=torch.float32).view(1, 1, 4, 4)
    quarter = np.array([[[0, -1], [1, 0]]], np.float32)
    grid = sampling_grid(quarter, NO_CONTROL, 4, CPU).permute(0, 2, 3, 1)
    turned = torch.nn.functional.grid_sample(image, grid, align_corners=False)
    assert torch.equal(turned, torch.rot90(image, 1, (2, 3)))


def test_angles_are_uniform_within_the_range():
    matrix = draw_transforms(np.arange(4000), 1029, 0, only(rotation_degrees=30)).matrix
    angles = np.rad2deg(np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0]))
    # Uniform in +-30: standard deviation 30 / sqrt(3) = 17.32 with a standard error of .12, mean 0 with .27.
    assert -30 <= angles.min() < -29.9
    assert 29.9 < angles.max() <= 30
    assert abs(angles.std() - 17.32) < 0.5
    assert abs(angles.mean()) < 1.1


def test_each_transform_happens_half_of_the_time_independently_of_the_others():
    draws = draw_transforms(np.arange(4000), 1029, 0, paper_augmentation(rotation_degrees=0))
    horizontal, vertical = draws.matrix[:, 0, 0] < 0, draws.matrix[:, 1, 1] < 0
    happened = np.stack([horizontal, vertical, draws.elastic, draws.noisy])
    # Standard error of a share of 4000: .008; of a correlation: .016.
    assert np.abs(happened.mean(1) - 0.5).max() < 0.032
    assert np.abs(np.corrcoef(happened) - np.eye(4)).max() < 0.064


def test_noise_has_its_sigma_no_mean_and_leaves_masks_alone():
    images, masks = torch.zeros(8, 1, 128, 128), torch.ones(8, 1, 128, 128)
    augment(images, masks, np.arange(8), 1, 0, only(noise_sigma=0.02))
    # 131072 numbers: the standard error of sigma is .02 / sqrt(262144) = .00004, of the mean .00006.
    assert abs(images.std().item() - 0.02) < 0.0002
    assert abs(images.mean().item()) < 0.0003
    assert (masks == 1).all()
    correlation = np.corrcoef(images.flatten(1).numpy()) - np.eye(8)
    assert np.abs(correlation).max() < 0.04


def test_the_elastic_field_is_as_strong_relative_to_the_image_at_every_size():
    control = draw_control_points(
        np.arange(4), 1, 0, np.tile(np.eye(2, dtype=np.float32), (4, 1, 1)), paper_augmentation()
    )
    still = np.zeros((4, 2, 2), np.float32)
    large, small = (sampling_grid(still, control, size, CPU) for size in (512, 256))
    # The same surface, read at half as many points: the means of 2 x 2 points agree but for its curvature.
    pooled = torch.nn.functional.avg_pool2d(large, 2)
    assert (pooled - small).abs().max() < 0.05 * large.std()


def test_a_spline_surface_through_a_plane_is_the_plane():
    # Control point k is at knot k - 1; with 8 intervals on [-1, 1] that is -1 + (k - 1) / 4.
    knots = -1 + (np.arange(11, dtype=np.float32) - 1) / 4
    control = np.stack(np.meshgrid(knots, knots))[None]
    still = np.zeros((1, 2, 2), np.float32)
    for size in (64, 50, 37):
        grid = sampling_grid(still, control, size, CPU)
        plane = sampling_grid(np.eye(2, dtype=np.float32)[None], NO_CONTROL, size, CPU)
        torch.testing.assert_close(grid, plane, rtol=0, atol=1e-6)


def test_elastic_displacements_pass_through_the_rotation():
    turn = np.array([[[0, -1], [1, 0]]], np.float32)
    straight = draw_control_points([9], 1, 0, np.eye(2, dtype=np.float32)[None], paper_augmentation())
    turned = draw_control_points([9], 1, 0, turn, paper_augmentation())
    np.testing.assert_array_equal(turned[0, 0], -straight[0, 1])
    np.testing.assert_array_equal(turned[0, 1], straight[0, 0])


@pytest.mark.parametrize("size", [40, 64, 96, 250])
def test_a_slice_gives_the_same_bits_in_any_company(size):
    numbers = np.array([3, 955, 17, 3064, 8, 9, 10, 11, 400, 12, 13])
    images, masks = batch(len(numbers), size)
    together = augment(images.clone(), masks.clone(), numbers, 1029, 4, paper_augmentation())
    reordered = np.random.default_rng(0).permutation(len(numbers))
    shuffled = augment(images[reordered], masks[reordered], numbers[reordered], 1029, 4, paper_augmentation())
    for i, number in enumerate(numbers):
        alone = augment(images[i : i + 1].clone(), masks[i : i + 1].clone(), [number], 1029, 4, paper_augmentation())
        j = int(np.flatnonzero(reordered == i)[0])
        for one, many, other in zip(alone, together, shuffled, strict=True):
            assert torch.equal(one[0], many[i]), number
            assert torch.equal(one[0], other[j]), number


@pytest.mark.parametrize("changed", [{"seed": 2}, {"epoch": 1}, {"numbers": [1]}])
def test_another_seed_epoch_or_slice_gives_another_image(changed):
    augmentation = paper_augmentation(probability=1)
    counters = {"numbers": [0], "seed": 1, "epoch": 0}
    images, masks = batch(1, 64)
    first, _ = augment(images.clone(), masks.clone(), augmentation=augmentation, **counters)
    second, _ = augment(images.clone(), masks.clone(), augmentation=augmentation, **(counters | changed))
    assert (first - second).abs().mean() > 0.05


def test_masks_stay_binary_and_keep_their_area_within_the_frame():
    masks = torch.zeros(32, 1, 128, 128)
    masks[..., 52:76, 50:80] = 1  # 24 x 30 pixels near the center: no rotation takes them out of the frame
    augment(torch.rand(32, 1, 128, 128), masks, np.arange(32), 1029, 0, paper_augmentation(probability=1))
    assert set(masks.unique().tolist()) == {0, 1}
    # Single masks swell or shrink with the elastic field, all together do not.
    assert abs(masks.sum().item() / (32 * 24 * 30) - 1) < 0.02


def test_the_batch_is_overwritten_and_handed_back():
    images, masks = batch(2, 32)
    new_images, new_masks = augment(images, masks, [1, 2], 1, 0, paper_augmentation(probability=1))
    assert new_images is images
    assert new_masks is masks


def test_autocast_around_it_changes_nothing():
    images, masks = batch(4, 64)
    plain, _ = augment(images.clone(), masks.clone(), np.arange(4), 1, 0, paper_augmentation(probability=1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside, _ = augment(images.clone(), masks.clone(), np.arange(4), 1, 0, paper_augmentation(probability=1))
    assert inside.dtype == torch.float32
    assert torch.equal(plain, inside)


def test_no_operation_waits_for_the_device():
    waits = ("_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "unique")

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            assert func.overloadpacket.__name__ not in waits, func
            return func(*args, **(kwargs or {}))

    images, masks = batch(4, 32)
    with Watch():
        augment(images, masks, np.arange(4), 1, 0, paper_augmentation(probability=1))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("probability", 1.5),
        ("probability", math.nan),
        ("rotation_degrees", -30),
        ("noise_sigma", math.inf),
        ("elastic_alpha", -1),
        ("elastic_sigma", 0),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(UserError, match=rf"augmentation\.{field}: "):
        paper_augmentation(**{field: value})
