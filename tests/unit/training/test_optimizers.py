"""Adam on one device from a checkpoint of another."""

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


def test_a_cpu_computes_adam_without_the_fused_kernel() -> None:
    assert adam(nn.Linear(2, 2).parameters(), 0.1).param_groups[0]["fused"] is False


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
