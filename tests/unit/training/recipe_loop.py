"""The training loop in a few lines, for tests of recipes: batches made by hand, snapshots instead of files."""

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import torch

from mmran.config.experiment import Experiment, Input, Loss, NetworkSpec, ScheduleSpec, Training
from mmran.data.batches import Batch
from mmran.networks import network_class
from mmran.training.recipe import Recipe
from tests.paper import DEFAULTS, paper_augmentation


def experiment(network: str, width: float = 1 / 32, **training: Any) -> Experiment:
    return Experiment(
        name="tiny",
        network=NetworkSpec(network, width),
        input=Input(**DEFAULTS["input"]),
        augmentation=paper_augmentation(),
        loss=Loss(**DEFAULTS["loss"]),
        schedule=ScheduleSpec("dynamic"),
        training=Training(**DEFAULTS["training"] | training),
        seeds=(0,),
    )


def disc_batches(n_batches: int = 1, batch_size: int = 2, size: int = 32) -> list[Batch]:
    """Bright discs on a dim, noisy ground; the label says how large they are."""
    generator = torch.Generator().manual_seed(0)
    position = torch.arange(size) - size / 2
    distance = (position**2 + position[:, None] ** 2).sqrt()
    batches = []
    for _ in range(n_batches):
        labels = torch.randint(0, 3, (batch_size,), generator=generator)
        masks = (distance < size / 8 * (labels + 1)[:, None, None, None]).float()
        noise = torch.rand(masks.shape, generator=generator)
        batches.append(Batch(0.6 * masks + 0.3 * noise, masks, labels))
    return batches


def make(settings: Experiment, recipe_class: type[Recipe], seed: int = 0) -> Recipe:
    torch.manual_seed(seed)
    network = network_class(settings.network.name)(width=settings.network.width)
    return recipe_class(network, settings, contextlib.nullcontext)


def epochs(recipe: Recipe, batches: list[Batch], start: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    """Train, from a snapshot if given; yields one after each epoch."""
    stages = recipe.stages()
    first_stage, first_epoch = (start["stage"], start["epoch"] + 1) if start else (0, 0)
    for number in range(first_stage, len(stages)):
        recipe.begin(stages[number])
        if start and number == first_stage:
            recipe.network.load_state_dict(start["network"])
            for name, optimizer in recipe.optimizers.items():
                optimizer.load_state_dict(start["optimizers"][name])
        for epoch in range(first_epoch, stages[number].epochs):
            torch.manual_seed(1000 * number + epoch)
            recipe.network.train()
            recipe.begin_epoch(stages[number], epoch)
            losses = [recipe.step(batch, stages[number], epoch) for batch in batches]
            optimizers = {name: optimizer.state_dict() for name, optimizer in recipe.optimizers.items()}
            yield copy.deepcopy(
                {
                    "stage": number,
                    "epoch": epoch,
                    "network": recipe.network.state_dict(),
                    "optimizers": optimizers,
                    "losses": losses,
                }
            )
        first_epoch = 0
