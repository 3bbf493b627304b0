"""Batches of images with several channels: percentiles of each, one field for all, other noise in each."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mmran.data.augment import augment
from mmran.data.augmentation import Augmentation
from mmran.data.batches import ResidentSlices, iterate
from tests.paper import paper_augmentation
from tests.unit.data.test_batches import HandMadeStore

RNG = np.random.default_rng(7)
NOISY = paper_augmentation()
STILL = replace(NOISY, noise_sigma=0.0, probability=1.0)


def load(images: dict[int, np.ndarray], size: int = 8, fit: str = "pad") -> ResidentSlices:
    channels = [f"c{i}" for i in range(len(next(iter(images.values()))))]
    return ResidentSlices.load(HandMadeStore(images, channels), list(images), size, fit, (0, 100), "cpu")


def test_percentiles_and_padding_follow_each_channel() -> None:
    image = np.array([[[-100, 100], [0, 0]], [[5, 5], [5, 25]]], np.int16)  # -100 to 100, and 5 to 25
    slices = load({1: image}, size=4)
    assert (slices.low.tolist(), slices.high.tolist()) == ([[-100, 5]], [[100, 25]])
    images = slices.gather(torch.tensor([0])).images
    assert images.shape == (1, 2, 4, 4)
    assert images[0, :, 1:3, 1:3].tolist() == [[[0, 1], [0.5, 0.5]], [[0, 0], [0, 1]]]
    assert images.sum() == images[..., 1:3, 1:3].sum()


@pytest.mark.parametrize("fit", ["pad", "resample"])
def test_a_channel_is_the_same_among_others_as_alone(fit: str) -> None:
    images = {n: RNG.integers(0, 4000, (3, 12, 16)).astype(np.int16) for n in (3, 9)}
    together = load(images, 16, fit).gather(torch.arange(2)).images
    for channel in range(3):
        alone = load({n: image[[channel]] for n, image in images.items()}, 16, fit)
        assert torch.equal(together[:, [channel]], alone.gather(torch.arange(2)).images)


def moved(images: torch.Tensor, augmentation: Augmentation) -> tuple[torch.Tensor, torch.Tensor]:
    masks = images[:, :1].round()
    return augment(images.clone(), masks, np.arange(len(images)), 1029, 0, augmentation)


def test_one_field_moves_all_channels_as_it_moves_one() -> None:
    images = torch.from_numpy(RNG.random((5, 4, 32, 32), np.float32))
    together, masks = moved(images, STILL)
    assert not torch.equal(together, images)
    for channel in range(4):
        alone, _ = moved(images[:, [channel]], STILL)
        assert torch.equal(together[:, [channel]], alone)
    assert torch.equal(masks, moved(images[:, :1], STILL)[1])


def test_noise_differs_between_channels_and_is_as_strong_in_each() -> None:
    still = replace(NOISY, horizontal_flip=False, vertical_flip=False, rotation_degrees=0.0, elastic_alpha=0.0)
    noise, _ = moved(torch.zeros(3, 2, 64, 64), replace(still, probability=1.0, noise_sigma=0.1))
    for of_slice in noise:
        correlation = torch.corrcoef(of_slice.flatten(1))[0, 1]
        assert abs(correlation) < 0.1  # 4096 pixels: six standard deviations
        assert of_slice.flatten(1).std(dim=1).tolist() == pytest.approx([0.1, 0.1], rel=0.1)


def test_an_epoch_has_images_of_all_channels_beside_masks_of_one() -> None:
    slices = load({n: RNG.integers(0, 255, (4, 8, 8), np.uint8) for n in range(5)})
    batches = list(iterate(slices, batch_size=2, seed=0, epoch=0, augmentation=NOISY, shuffle=True))
    assert [batch.images.shape[1:] for batch in batches] == [(4, 8, 8)] * 3
    assert {batch.masks.shape[1:] for batch in batches} == {(1, 8, 8)}


def test_a_transform_from_outside_gets_all_channels() -> None:
    slices = load({n: RNG.integers(0, 255, (4, 8, 8), np.uint8) for n in range(4)})
    transforms = {"m:swap": lambda images, masks, generator: (images.flip(1), masks)}
    options = {"batch_size": 4, "seed": 0, "epoch": 0, "augmentation": STILL, "shuffle": False}
    (plain,), (swapped,) = (list(iterate(slices, **options, transforms=found)) for found in ({}, transforms))
    assert torch.equal(swapped.images, plain.images.flip(1))
    assert torch.equal(swapped.masks, plain.masks)
