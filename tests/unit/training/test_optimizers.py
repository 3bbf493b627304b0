"""Optimizers by name, and Adam on one device from a checkpoint of another."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from mmran.config.experiment import Training
from mmran.errors import UserError
from mmran.training.optimizers import clip_gradients, make_optimizer, restore, set_learning_rate
from tests.paper import DEFAULTS


def options(**changes: Any) -> Training:
    return Training(**DEFAULTS["training"] | changes)


def made(**changes: Any) -> torch.optim.Optimizer:
    return make_optimizer(nn.Linear(2, 2).parameters(), options(**changes))


def stepped(fused: bool) -> torch.optim.Adam:
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.5, fused=fused)
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return optimizer


def test_it_takes_the_steps_of_torchs_own() -> None:
    weights = []
    for make in (
        lambda parameters: make_optimizer(parameters, options(learning_rate=0.1)),
        lambda parameters: torch.optim.Adam(parameters, lr=0.1, fused=True),
    ):
        torch.manual_seed(0)
        layer = nn.Linear(3, 2)
        optimizer = make(layer.parameters())
        for _ in range(3):
            optimizer.zero_grad(set_to_none=True)
            layer(torch.ones(1, 3)).square().sum().backward()
            optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
        weights.append(layer.weight.detach())
        assert not any(p.grad is None for p in layer.parameters())
    assert torch.equal(*weights)


STEP = """
import sys, torch
from mmran.training.device import Compute
from mmran.training.optimizers import Adam
Compute.choose(gpu=False, threads=1, precision="float32", deterministic=True, seed=0)
layer = torch.nn.Linear(2, 2)
optimizer = Adam(layer.parameters(), lr=0.1, fused=True)
layer(torch.ones(1, 2)).sum().backward()
optimizer.step()
optimizer.zero_grad()
optimizer.load_state_dict(optimizer.state_dict())
print(*(name for name in ("torch._dynamo", "torch._inductor", "sympy") if name in sys.modules))
"""


@pytest.mark.slow
def test_a_step_imports_no_compiler() -> None:
    # In a process of its own, since other tests import it.
    ended = subprocess.run([sys.executable, "-c", STEP], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []


def test_the_paper_trains_with_plain_adam() -> None:
    assert isinstance(made(), torch.optim.Adam)
    (group,) = made().param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.001, (0.9, 0.999), 0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD), ("torch.optim:RMSprop", torch.optim.RMSprop)],
)
def test_an_optimizer_is_a_value(name: str, expected: type) -> None:
    optimizer = made(optimizer=name, learning_rate=0.5, weight_decay=0.25)
    assert type(optimizer) is expected
    assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["weight_decay"]) == (0.5, 0.25)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("adma", "did you mean 'adam'"),
        ("no_such_module:Lion", "cannot import 'no_such_module'"),
        ("torch.optim:Lion", "torch.optim has no function 'Lion'"),
        ("torch.optim:LBFGS", "LBFGS does not take lr and weight_decay"),
        ("builtins:dict", "makes a dict, expected a torch optimizer"),
    ],
)
def test_what_is_no_optimizer_is_refused_in_one_line(name: str, message: str) -> None:
    with pytest.raises(UserError, match=rf"training\.optimizer: .*{message}"):
        made(optimizer=name)


def test_weight_decay_pulls_kernels_and_neither_biases_nor_norms() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimizer = make_optimizer(network.parameters(), options(optimizer="adamw", learning_rate=0.5, weight_decay=0.5))
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    # AdamW without a gradient: weights x (1 - 0.5 x 0.5).
    torch.testing.assert_close(network.state_dict()["0.weight"], before["0.weight"] * 0.75)
    for key in ("0.bias", "1.weight", "1.bias"):
        assert torch.equal(network.state_dict()[key], before[key]), key


@pytest.mark.parametrize("layer", [nn.Linear(2, 2, bias=False), nn.BatchNorm2d(2)])
def test_no_group_is_empty(layer: nn.Module) -> None:
    (group,) = make_optimizer(layer.parameters(), options(weight_decay=0.5)).param_groups
    assert group["params"]


def test_a_share_of_the_learning_rate_is_of_the_one_at_the_start() -> None:
    optimizer = made(learning_rate=0.5)
    for share in (0.5, 0.25):
        set_learning_rate(optimizer, share)
        assert optimizer.param_groups[0]["lr"] == 0.5 * share


def test_gradients_are_clipped_to_a_joint_norm() -> None:
    layer = nn.Linear(1, 1)
    layer.weight.grad, layer.bias.grad = torch.tensor([[3.0]]), torch.tensor([4.0])  # norm 5
    clip_gradients(make_optimizer(layer.parameters(), options()), 1.0)
    assert torch.allclose(
        torch.stack([layer.weight.grad.squeeze(), layer.bias.grad.squeeze()]), torch.tensor([0.6, 0.8])
    )


def test_the_kernel_is_that_of_the_device_and_all_else_that_of_the_checkpoint() -> None:
    saved = stepped(fused=False).state_dict()
    # As Adam is made on a GPU; its kernel exists on a CPU too.
    here = stepped(fused=True)
    here.param_groups[0]["lr"] = 0.1
    restore(here, saved)
    (group,) = here.param_groups
    assert (group["fused"], group["lr"]) == (True, 0.5)
    for state, expected in zip(here.state_dict()["state"].values(), saved["state"].values(), strict=True):
        assert torch.equal(state["exp_avg"], expected["exp_avg"])
        assert float(state["step"]) == 1
