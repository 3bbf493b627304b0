"""Optimizers by name, as every recipe makes them."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from mmran.config.experiment import Training
from mmran.errors import UserError
from mmran.training.named import named

BETAS = (0.9, 0.999)
"""Of Adam and AdamW, as torch has them."""

SGD_MOMENTUM = 0.9

_DECAYED_NDIM = 2
"""Weight decay applies to parameters of at least this many dimensions: matrices and kernels."""

_IMPLEMENTATION = ("fused", "foreach", "capturable")
"""Options of a parameter group that select the kernel, which depends on the device."""

Parameters = list[nn.Parameter] | list[dict[str, Any]]
"""What an optimizer of torch takes: parameters, or groups of them."""


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


def _adam(parameters: Parameters, lr: float, weight_decay: float, betas: tuple[float, float]) -> torch.optim.Adam:
    return Adam(parameters, lr=lr, betas=betas, weight_decay=weight_decay, fused=True)


def _adamw(parameters: Parameters, lr: float, weight_decay: float, betas: tuple[float, float]) -> torch.optim.AdamW:
    return torch.optim.AdamW(parameters, lr=lr, betas=betas, weight_decay=weight_decay, fused=True)


def _sgd(parameters: Parameters, lr: float, weight_decay: float, betas: tuple[float, float]) -> torch.optim.SGD:
    # Not fused: torch's kernel fails where a parameter gets its first gradient after the others, as a frozen head does.
    return torch.optim.SGD(parameters, lr=lr, momentum=SGD_MOMENTUM, weight_decay=weight_decay)


OPTIMIZERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = MappingProxyType(
    {"adam": _adam, "adamw": _adamw, "sgd": _sgd}
)
"""Name -> optimizer, as `training.optimizer` accepts it."""


def make_optimizer(
    parameters: Iterable[nn.Parameter],
    options: Training,
    *,
    learning_rate: float | None = None,
    betas: tuple[float, float] = BETAS,
) -> torch.optim.Optimizer:
    """The experiment's optimizer over parameters.

    Adam and AdamW run as one fused kernel: many small ones would take a tenth of a small training's time.

    Weight decay applies to matrices and kernels only: biases, the scales and offsets of norms, and other vectors form
    a group without it. Without weight decay there is one group.

    An external one, "package.module:function", is called as function(parameters, lr=..., weight_decay=...) with the
    parameters, or with groups of them if weight decay is above 0; a class of torch.optim is such a function.

    Args:
        parameters: what it updates.
        options: of the experiment.
        learning_rate: if it differs from the experiment's.
        betas: of Adam and AdamW.

    Raises:
        UserError: no such optimizer, or the function does not return one.
    """
    name, parameters = options.optimizer, list(parameters)
    make = named("training.optimizer", name, OPTIMIZERS)
    rate = options.learning_rate if learning_rate is None else learning_rate
    own = {"betas": betas} if name in OPTIMIZERS else {}
    try:
        optimizer = make(_groups(parameters, options), lr=rate, weight_decay=options.weight_decay, **own)
    except TypeError as error:
        raise UserError(f"training.optimizer: {name} does not take lr and weight_decay ({error})") from error
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise UserError(f"training.optimizer: {name} makes a {type(optimizer).__name__}, expected a torch optimizer")
    return optimizer


def _groups(parameters: list[nn.Parameter], options: Training) -> Parameters:
    """The parameters, in two groups where some decay and others do not."""
    if options.weight_decay == 0:
        return parameters
    decayed = [parameter for parameter in parameters if parameter.ndim >= _DECAYED_NDIM]
    others = [parameter for parameter in parameters if parameter.ndim < _DECAYED_NDIM]
    groups = [{"params": decayed, "weight_decay": options.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def set_learning_rate(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Set every group's learning rate to a fraction of the one that it was made with."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * share


def clip_gradients(optimizer: torch.optim.Optimizer, norm: float) -> None:
    """Scale the gradients of an optimizer's parameters down to a joint norm, if theirs is larger."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    torch.nn.utils.clip_grad_norm_(parameters, norm)


def restore(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load an optimizer's state, but keep the kernels of this device: the checkpoint may be from another device."""
    groups = [
        {**saved, **{key: here[key] for key in _IMPLEMENTATION if key in here}}
        for saved, here in zip(state["param_groups"], optimizer.param_groups, strict=True)
    ]
    optimizer.load_state_dict({**state, "param_groups": groups})
