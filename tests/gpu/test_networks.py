"""Every network on CUDA: the numbers of the CPU, deterministic steps, and gradients for every parameter."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from mmran.data.batches import Batch
from mmran.training.compilation import compile_modules
from mmran.training.device import Compute
from mmran.training.recipe import Recipe, make_recipe
from tests.contract.registry import PAPER, VARIANTS, WIDTH, images_of, small, total
from tests.unit.training.recipe_loop import disc_batches

pytestmark = pytest.mark.gpu

EPOCHS = 6
"""At least two of each stage: in the first one of a dynamic schedule the class head has no weight."""


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_outputs_and_gradients_are_those_of_a_cpu(name: str, options: dict[str, Any]) -> None:
    # In float64, where no matrix unit rounds; the CPU's layers are checked against NumPy (tests/equivalence).
    found: list[dict[str, Tensor]] = []
    for device in ("cpu", "cuda"):
        network = small(name, options).double().eval().to(device)
        output = network(images_of(64, 64).double().to(device))
        total(output).backward()
        gradients = {key: one.grad for key, one in network.named_parameters() if one.grad is not None}
        outputs = {"masks": output.mask_logits, "classes": output.class_logits}
        values = outputs | {f"gradient of {key}": one for key, one in gradients.items()}
        found.append({key: one.detach().cpu() for key, one in values.items() if one is not None})
    expected, got = found
    assert got.keys() == expected.keys()
    # Rounding alone is left of a gradient that cancels out, such as that of a bias before a softmax over one pixel.
    largest = max(float(one.abs().max()) for one in expected.values())
    for key, one in expected.items():
        off = (got[key] - one).abs() - 1e-6 * one.abs()
        assert float(off.max()) <= 1e-12 * largest, f"{key}: {got[key]} on CUDA, {one} on the CPU"


def moved(batch: Batch) -> Batch:
    return Batch(*(tensor.cuda() for tensor in batch))


def trained(name: str, **training: Any) -> tuple[Recipe, dict[str, Tensor], list[float]]:
    """An experiment of config.yaml after a step of each epoch, its first weights, and the total losses."""
    spec = PAPER.resolve(name)
    spec = dataclasses.replace(
        spec,
        network=dataclasses.replace(spec.network, width=WIDTH),
        training=dataclasses.replace(spec.training, **{"epochs": EPOCHS, "batch_size": 4} | training),
    )
    options = spec.training
    compute = Compute.choose(
        gpu=True, threads=1, precision=options.precision, deterministic=options.deterministic, seed=0
    )
    recipe = make_recipe(spec, compute, None if spec.network.mask_prior is None else 0.1)
    first = {key: one.detach().clone() for key, one in recipe.network.named_parameters()}
    batches = [moved(batch) for batch in disc_batches(2, batch_size=4, size=64)]
    losses = []
    recipe.network.train()
    for stage in recipe.stages():
        recipe.begin(stage)
        for epoch in range(stage.epochs):
            recipe.begin_epoch(stage, epoch)
            for batch in batches:
                batch = batch._replace(images=recipe.layout(batch.images))
                losses.append(float(next(iter(recipe.step(batch, stage, epoch).values()))))
    return recipe, first, losses


@pytest.mark.parametrize("name", PAPER.all_experiments())
def test_deterministic_steps_reach_every_parameter_and_repeat_to_the_bit(name: str) -> None:
    recipe, first, losses = trained(name)
    assert all(torch.isfinite(torch.tensor(losses)))
    parameters = dict(recipe.network.named_parameters())
    assert [key for key, one in parameters.items() if one.requires_grad and torch.equal(one, first[key])] == []
    again, _, losses_again = trained(name)
    assert losses_again == losses
    for key, one in again.network.state_dict().items():
        assert torch.equal(one, recipe.network.state_dict()[key]), key


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("channels_last", [True, False], ids=["channels last", "channels first"])
def test_every_precision_and_layout_trains(precision: str, channels_last: bool) -> None:
    _, _, losses = trained("mmran", precision=precision, channels_last=channels_last, epochs=30)
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])


def test_a_compiled_network_predicts_as_before() -> None:
    recipe, *_ = trained("mmran", precision="float32")
    recipe.network.eval()
    images = moved(disc_batches(1, batch_size=4, size=64)[0]).images
    expected = recipe.predict(images)
    compile_modules(recipe)
    compiled = recipe.predict(images)
    # TF32 has ten bits of mantissa.
    torch.testing.assert_close(compiled.mask_logits, expected.mask_logits, rtol=0.02, atol=0.05)
    torch.testing.assert_close(compiled.class_logits, expected.class_logits, rtol=0.02, atol=0.05)
