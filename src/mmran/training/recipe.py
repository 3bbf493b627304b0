"""What a family of networks brings to the training loop: its stages, its optimizers and its step."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmran.config.experiment import Experiment
from mmran.data.batches import Batch
from mmran.networks.output import Network, NetworkOutput


@dataclass(frozen=True)
class Stage:
    """A stretch of epochs with the same modules in training; most recipes have one."""

    name: str
    epochs: int


class Recipe(ABC):
    """How one family of networks is trained.

    The engine owns the loop, the data, the device, checkpoints and logging; a recipe owns what happens to one batch.
    Everything that must survive an interruption is in `network`, in `optimizers`, or follows from the epoch.

    Attributes:
        network: the module that is trained; every weight that is kept is in its state.
        experiment: the resolved experiment.
        autocast: context of the forward passes; losses are computed outside of it, in float32.
        optimizers: name -> optimizer of the stage in progress; the engine saves and restores their states.
    """

    def __init__(
        self, network: Network, experiment: Experiment, autocast: Callable[[], AbstractContextManager[Any]]
    ) -> None:
        self.network = network
        self.experiment = experiment
        self.autocast = autocast
        self.optimizers: dict[str, torch.optim.Optimizer] = {}

    def stages(self) -> tuple[Stage, ...]:
        """The stages in their order; their epochs add up to those of the experiment."""
        return (Stage("joint", self.experiment.training.epochs),)

    @abstractmethod
    def begin(self, stage: Stage) -> None:
        """Enter a stage: set `optimizers`, freeze or hand on weights. Called again when a stage is resumed."""

    @abstractmethod
    def step(self, batch: Batch, stage: Stage, epoch: int) -> dict[str, Tensor]:
        """Train on one batch.

        Args:
            batch: images (B, 1, S, S), masks (B, 1, S, S), labels (B,), on the device.
            stage: the stage in progress.
            epoch: epoch within the stage, from 0.

        Returns:
            Loss name -> detached scalar on the device; the first one is the total. Nothing waits for the device.
        """

    def values(self, stage: Stage, epoch: int) -> dict[str, float]:
        """What the history records of an epoch beside its losses, such as the task weights."""
        return {}

    def predict(self, images: Tensor) -> NetworkOutput:
        """What the network says of images (B, 1, S, S), for validation and prediction; no gradients."""
        with torch.inference_mode(), self.autocast():
            return self.network(images)
