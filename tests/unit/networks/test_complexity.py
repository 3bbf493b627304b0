"""Multiply-accumulates of whole networks."""

from typing import Any

import pytest
import torch
from torch import nn

from mmran.networks import build
from mmran.networks.complexity import multiply_accumulates


@pytest.mark.slow
@pytest.mark.parametrize(("name", "gmacs"), [("he", 42.1), ("y-net", 40.5)])
def test_resizing_counts_as_no_multiply_accumulate(name: str, gmacs: float) -> None:
    # With the matrix products by which maps are resized they were 72.2 and 46.8.
    assert multiply_accumulates(name, 512) / 1e9 == pytest.approx(gmacs, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["he", "y-net", "chen"])
def test_multiply_accumulates_are_those_of_the_convolutions_and_linear_layers(name: str) -> None:
    with torch.device("meta"):
        network, images = build(name, width=0.125).eval(), torch.empty(1, 1, 64, 64)
    found = 0

    def count(layer: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        nonlocal found
        # Each weight meets every output pixel; of a transposed convolution, every input pixel.
        pixels = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        found += layer.weight.numel() * (pixels.numel() // pixels.shape[1])

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            layer.register_forward_hook(count)
    network(images)
    assert multiply_accumulates(name, 64, width=0.125) == found
