"""Resizing by two matrices is torch's own interpolation and pooling, with a gradient that can be repeated."""

from functools import partial

import pytest
import torch
from torch.nn import functional

from mmran.networks.resize import pool_average, resize_bilinear

interpolate = partial(functional.interpolate, mode="bilinear", align_corners=False)


@pytest.mark.parametrize("size", [(16, 16), (10, 32), (3, 5), (1, 1), (8, 12), (37, 24)])
@pytest.mark.parametrize(
    ("ours", "theirs"), [(resize_bilinear, interpolate), (pool_average, functional.adaptive_avg_pool2d)]
)
def test_equals_the_operation_of_torch_in_value_and_gradient(ours, theirs, size):
    x = torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    gradients = []
    for operation in (ours, theirs):
        start = x.clone().requires_grad_()
        result = operation(start, size)
        torch.testing.assert_close(result, theirs(x, size), rtol=0, atol=1e-5)
        (result * torch.linspace(-1, 1, result.numel()).view_as(result)).sum().backward()
        gradients.append(start.grad)
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_doubling_a_row_puts_quarters_between_the_centers():
    # Output centers 0.5 .. 3.5 lie at input positions -0.25, 0.25, 0.75, 1.25; the edge holds beyond 0 and 1.
    row = torch.tensor([[[[0.0, 4.0]]]])
    assert resize_bilinear(row, (1, 4)).flatten().tolist() == [0.0, 1.0, 3.0, 4.0]


def test_bins_that_do_not_divide_the_row_overlap():
    # Two bins over five pixels: 0..3 and floor(2.5) = 2..5.
    row = torch.tensor([[[[0.0, 3.0, 6.0, 9.0, 30.0]]]])
    assert pool_average(row, (1, 2)).flatten().tolist() == [3.0, 15.0]


def test_large_maps_in_bfloat16_keep_their_positions():
    # Weights made in bfloat16 would place pixel 257 at 256: the ramp would have steps of two.
    ramp = torch.linspace(0, 1, 400).view(1, 1, 1, 400)
    resized = resize_bilinear(ramp.bfloat16(), (1, 800)).float()
    torch.testing.assert_close(resized, interpolate(ramp, size=(1, 800)), rtol=0, atol=0.006)


@pytest.mark.parametrize("resize", [resize_bilinear, pool_average])
def test_channels_last_maps_stay_channels_last_with_the_same_values_and_gradients(resize):
    plain = torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(0), requires_grad=True)
    last = plain.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    results = [resize(x, (10, 30)) for x in (plain, last)]
    assert results[0].is_contiguous()
    assert results[1].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)
    for result in results:
        (result * torch.linspace(-1, 1, result.numel()).view_as(result)).sum().backward()
    torch.testing.assert_close(plain.grad, last.grad, rtol=1e-5, atol=1e-5)
