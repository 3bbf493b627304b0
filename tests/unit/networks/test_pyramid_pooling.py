"""Spatial pyramid pooling and channel scaling."""

import pytest
import torch

from mmran.networks.blocks import SpatialPyramidPooling, grid_max, scaled


def test_pyramid_is_ordered_by_level_then_channel_then_bin():
    x = torch.stack([torch.arange(16.0).view(4, 4), -torch.arange(16.0).view(4, 4)])[None]
    # Level 1: maxima 15 and 0. Level 2: of the quarters 5, 7, 13, 15, and of their negatives 0, -2, -8, -10.
    assert SpatialPyramidPooling((1, 2))(x).tolist() == [[15, 0, 5, 7, 13, 15, 0, -2, -8, -10]]


def test_length_does_not_depend_on_the_size_of_the_map():
    pooling = SpatialPyramidPooling((1, 2, 4))
    assert pooling.bins == 21
    for size in ((4, 4), (6, 5), (1, 3)):
        assert pooling(torch.zeros(2, 8, *size)).shape == (2, 21 * 8)


@pytest.mark.parametrize("size", [(4, 4), (6, 9), (5, 7), (1, 1), (2, 3)])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_bins_are_those_of_adaptive_max_pooling(size, n):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(grid_max(x, n), torch.nn.functional.adaptive_max_pool2d(x, n), rtol=0, atol=0)


def test_channels_scale_to_multiples_of_four_and_never_vanish():
    assert [scaled(64, width) for width in (1, 0.5, 0.1, 1e-6)] == [64, 32, 8, 4]
    assert scaled(100, 0.25) == 24
