"""Size and cost of a network, worked out without memory for its weights."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmran.errors import UserError
from mmran.networks import build, complete_options, presets

PUBLISHED_MILLIONS: Mapping[str, float] = MappingProxyType(
    {
        "res-unet": 31.48,
        "rv-gan": 21.93,
        "resnet-50": 23.53,
        "datta": 23.91,
        "y-net": 9.11,
        "chen": 40.03,
        "he": 23.43,
        "mb-dcnn": 26.72,
        "mmran": 42.73,
        "mmran-released": 42.73,
        "mmran-released-baseline": 42.73,
    }
)
"""Parameters in millions as Table 3 prints them, by preset; one of its rows may have several readings."""


def trainable_parameters(network: nn.Module) -> int:
    """Number of parameters that training changes; running means and variances are none."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def parameter_count(name: str, **options: Any) -> int:
    """Trainable parameters of a network, by its registered name and options.

    Raises:
        UserError: as `build`.
    """
    with torch.device("meta"):
        return trainable_parameters(build(name, **options))


def multiply_accumulates(name: str, size: int, **options: Any) -> int:
    """Multiply-accumulates of convolutions and linear layers in one forward pass of one image of size x size.

    Raises:
        UserError: as `build`, or the size is not a positive multiple of the network's stride.
    """
    with torch.device("meta"):
        network = build(name, **options).eval()
        if size <= 0 or size % network.stride:
            raise UserError(f"size {size}: network {name} needs a positive multiple of {network.stride}")
        images = torch.empty(1, 1, size, size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(images)
    # The counter books a multiplication and an addition for each.
    return counter.get_total_flops() // 2


def published_millions(name: str, options: dict[str, Any]) -> float | None:
    """Millions of parameters that Table 3 prints for what these options build at full width, if it does."""
    asked = complete_options(name, options) | {"width": 1.0}
    for preset, preset_options in presets(name).items():
        if complete_options(name, preset_options) | {"width": 1.0} == asked:
            return PUBLISHED_MILLIONS.get(preset)
    return None
