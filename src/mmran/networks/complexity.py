"""Size and cost of a network, worked out without memory for its weights."""

from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmran.errors import UserError
from mmran.networks import build


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
