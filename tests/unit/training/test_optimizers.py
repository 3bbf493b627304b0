"""Adam without torch's compiler, and on one device from a checkpoint of another."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from mmran.training.optimizers import adam, restore


def stepped(fused: bool) -> torch.optim.Adam:
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.5, fused=fused)
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return optimizer


def test_it_takes_the_steps_of_torchs_own() -> None:
    weights = []
    for make in (adam, lambda parameters, rate: torch.optim.Adam(parameters, lr=rate, fused=True)):
        torch.manual_seed(0)
        layer = nn.Linear(3, 2)
        optimizer = make(layer.parameters(), 0.1)
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
from mmran.training.optimizers import adam
Compute.choose(gpu=False, threads=1, precision="float32", deterministic=True, seed=0)
layer = torch.nn.Linear(2, 2)
optimizer = adam(layer.parameters(), 0.1)
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
