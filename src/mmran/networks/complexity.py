"""Size and cost of a network, counted without memory for its weights."""

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from mmran.errors import UserError
from mmran.networks import build


class Complexity(NamedTuple):
    """Size and cost of a network.

    Attributes:
        parameters: number of trainable parameters.
        multiply_accumulates: of convolutions and linear layers, in one forward pass of one image.
    """

    parameters: int
    multiply_accumulates: int


def trainable_parameters(network: nn.Module) -> int:
    """Number of parameters that training changes; running means and variances are not among them."""
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
        UserError: as `complexity`.
    """
    return complexity(name, size, **options).multiply_accumulates


def complexity(name: str, size: int, **options: Any) -> Complexity:
    """Parameters of a network, and multiply-accumulates of one forward pass of one image of size x size.

    Raises:
        UserError: as `build`, or the size is not a positive multiple of the network's stride.
    """
    with torch.device("meta"):
        network = build(name, **options).eval()
        if size <= 0 or size % network.stride:
            raise UserError(f"size {size}: network {name} needs a positive multiple of {network.stride}")
        images = torch.empty(1, options.get("channels", 1), size, size)
    parameters = trainable_parameters(network)
    _skip_batch_norms(network)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(images)
    # The counter counts a multiplication and an addition for each.
    return Complexity(parameters, counter.get_total_flops() // 2)


def _skip_batch_norms(network: nn.Module) -> None:
    """Replace batch normalizations by nothing: they count nothing, and the counter takes seconds to decompose them."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.forward = nn.Identity().forward  # type: ignore[method-assign]
