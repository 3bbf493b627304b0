"""Adam as every recipe uses it."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

_IMPLEMENTATION = ("fused", "foreach", "capturable")
"""Options of a parameter group that choose the kernel, which depends on the device."""


def adam(
    parameters: Iterable[nn.Parameter], learning_rate: float, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.Adam:
    """Adam over parameters, in one fused kernel on a GPU."""
    parameters = list(parameters)
    return torch.optim.Adam(parameters, lr=learning_rate, betas=betas, fused=parameters[0].device.type == "cuda")


def restore(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load an optimizer's state, but keep the kernels of this device: the checkpoint may be from another one."""
    groups = [
        {**saved, **{key: here[key] for key in _IMPLEMENTATION if key in here}}
        for saved, here in zip(state["param_groups"], optimizer.param_groups, strict=True)
    ]
    optimizer.load_state_dict({**state, "param_groups": groups})
