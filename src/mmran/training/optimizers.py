"""Adam as every recipe uses it."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

_IMPLEMENTATION = ("fused", "foreach", "capturable")
"""Options of a parameter group that choose the kernel, which depends on the device."""


class Adam(torch.optim.Adam):
    """torch's Adam without its guards for a compiled step, which nothing here compiles.

    They import torch._dynamo: 2.5 CPU seconds of every process that trains.
    """

    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Adam.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Adam.load_state_dict)
    _step = inspect.unwrap(torch.optim.Adam.step)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Update the parameters once."""
        return self._step(closure)


def adam(
    parameters: Iterable[nn.Parameter], learning_rate: float, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.Adam:
    """Adam over parameters, in one fused kernel: a tenth of a small training's time would go into many small ones."""
    return Adam(parameters, lr=learning_rate, betas=betas, fused=True)


def restore(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load an optimizer's state, but keep the kernels of this device: the checkpoint may be from another one."""
    groups = [
        {**saved, **{key: here[key] for key in _IMPLEMENTATION if key in here}}
        for saved, here in zip(state["param_groups"], optimizer.param_groups, strict=True)
    ]
    optimizer.load_state_dict({**state, "param_groups": groups})
