"""Images of several channels, asked of every network of the registry."""

import dataclasses

import pytest
import torch

from mmran.data.batches import Batch
from mmran.networks import NETWORKS, network_class
from mmran.networks.complexity import complexity, parameter_count
from mmran.training.device import Compute
from mmran.training.recipe import make_recipe
from tests.contract.registry import WIDTH, small, total
from tests.unit.training.trials import experiment

N = 4
CPU = Compute(torch.device("cpu"), torch.float32, 1)

# Weights that four channels add to those of one, by hand: three kernels per unit of a first convolution. Networks whose
# authors feed them color repeat a gray image three times, so they gain one.
ADDED = {
    "mmran": 3 * 64 * (9 + 1),  # 3 x 3 convolution, and 1 x 1 shortcut
    "res-unet": 3 * 64 * (9 + 1),
    "rv-gan": 3 * 2 * 128 * 49 + 3 * 2 * 64 * 16,  # two generators, two discriminators
    "resnet-50": 3 * 64 * 49,
    "datta": 3 * 64 * 49,
    "y-net": 16 * 49,
    "chen": 3 * 64 * 9,
    "he": 64 * 49,
    "mb-dcnn": 3 * 32 * 9,  # three networks
}


def images(channels: int = N) -> torch.Tensor:
    return torch.rand(2, channels, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_first_convolution_has_a_kernel_for_each_channel(name: str) -> None:
    assert parameter_count(name, channels=N) - parameter_count(name) == ADDED[name]
    assert parameter_count(name, channels=1) == parameter_count(name)
    more = complexity(name, 64, width=WIDTH, channels=N).multiply_accumulates
    assert more > complexity(name, 64, width=WIDTH).multiply_accumulates


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("channels", [2, 3, N])
def test_the_output_depends_on_every_channel(name: str, channels: int) -> None:
    seen = images(channels).requires_grad_()
    network = small(name, {}, channels=channels).eval()
    output = network(seen)
    assert output.mask_logits is None or output.mask_logits.shape == (2, 1, 64, 64)
    total(output).backward()
    assert seen.grad is not None
    assert (seen.grad.abs().amax(dim=(0, 2, 3)) > 0).all()
    for wrong in {1, 2, N} - {channels}:
        with pytest.raises(ValueError, match=rf"expected \(batch, {channels}, height, width\)"):
            network(images(wrong))


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_stage_of_its_recipe_takes_a_step(name: str) -> None:
    own = {"name": name, "width": WIDTH, "attention": None, "channels": N}
    spec = experiment(network=own, training={"epochs": 3, "batch_size": 2})
    if "segmentation" not in network_class(name).tasks:
        spec = dataclasses.replace(spec, schedule=dataclasses.replace(spec.schedule, name="fixed", alpha=1.0))
    torch.manual_seed(0)
    recipe = make_recipe(spec, CPU, 0.1)
    recipe.network.train()
    batch = Batch(images(), (images(1) < 0.2).to(torch.float32), torch.tensor([0, 2]))
    first = next(one for one in recipe.network.parameters() if one.ndim == 4)
    assert first.shape[1] == N
    before = first.detach().clone()
    for stage in recipe.stages():
        recipe.begin(stage)
        recipe.begin_epoch(stage, 0)
        losses = recipe.step(batch, stage, 0)
        assert all(torch.isfinite(value) for value in losses.values())
    changed = (first.detach() - before).abs().amax(dim=(0, 2, 3))
    assert (changed > 0).all()
