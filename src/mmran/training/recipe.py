"""What a family of networks brings to the training loop: its stages, its optimizers and its step."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmran.config.experiment import Experiment
from mmran.data.batches import Batch
from mmran.errors import UserError
from mmran.networks import build
from mmran.networks.output import Network, NetworkOutput
from mmran.training.device import Compute
from mmran.training.learning_rates import learning_rate_share
from mmran.training.optimizers import clip_gradients, set_learning_rate


@dataclass(frozen=True)
class Stage:
    """A range of epochs that trains the same modules; most recipes have one."""

    name: str
    epochs: int


@dataclass(frozen=True)
class MicroBatch:
    """The part of a batch that is computed at a time.

    Attributes:
        batch: its slices.
        share: its fraction of the batch, 0 to 1; weighs its losses.
    """

    batch: Batch
    share: float


class Recipe(ABC):
    """How one family of networks is trained.

    The engine owns the loop, the data, the device, checkpoints and logging; a recipe owns what happens to one batch.
    Everything that must survive an interruption is in `network`, `optimizers` and `scaler`, or follows from the epoch.

    Attributes:
        network: the module that is trained; its state holds every weight that is kept.
        experiment: the resolved experiment.
        autocast: context of the forward passes; losses are computed outside it, in float32.
        scaler: scales losses when the forward passes are float16; disabled otherwise.
        optimizers: name -> optimizer of the current stage; the engine saves and restores their states.
    """

    own_losses: tuple[str, ...] = ()
    """Losses built into the recipe, which external losses cannot replace."""

    def __init__(
        self,
        network: Network,
        experiment: Experiment,
        autocast: Callable[[], AbstractContextManager[Any]],
        scaler: torch.amp.GradScaler | None = None,
    ) -> None:
        for name in self.own_losses:
            if getattr(experiment.loss, name):
                raise UserError(
                    f"loss.{name}: network {experiment.network.name} has its own {name} loss and cannot take "
                    f"{getattr(experiment.loss, name)}; set loss.{name}: null"
                )
        self.network = network
        self.experiment = experiment
        self.autocast = autocast
        self.scaler = scaler or torch.amp.GradScaler("cpu", enabled=False)
        self.optimizers: dict[str, torch.optim.Optimizer] = {}

    def stages(self) -> tuple[Stage, ...]:
        """The stages in order; their epochs add up to those of the experiment."""
        return (Stage("joint", self.experiment.training.epochs),)

    @abstractmethod
    def begin(self, stage: Stage) -> None:
        """Enter a stage: set `optimizers`, freeze or copy weights. Called again when a stage resumes."""

    def begin_epoch(self, stage: Stage, epoch: int) -> None:
        """Set the learning rates of an epoch, counted from 0 within the stage."""
        share = learning_rate_share(self.experiment.training, epoch, stage.epochs)
        for optimizer in self.optimizers.values():
            set_learning_rate(optimizer, share)

    @abstractmethod
    def step(self, batch: Batch, stage: Stage, epoch: int) -> dict[str, Tensor]:
        """Train on one batch.

        Args:
            batch: images (B, C, S, S), masks (B, 1, S, S), labels (B,), on the device.
            stage: the current stage.
            epoch: epoch within the stage, from 0.

        Returns:
            Loss name -> detached scalar on the device; the first one is the total. No step may sync the device.
        """

    def values(self, stage: Stage, epoch: int) -> dict[str, float]:
        """What the history records about an epoch besides its losses, such as the task weights."""
        return {}

    def compiled(self) -> tuple[nn.Module, ...]:
        """The modules that the steps call, which `training.compile` compiles."""
        return (self.network,)

    def predict(self, images: Tensor) -> NetworkOutput:
        """Output of the whole network for images (B, C, S, S), without gradients."""
        with torch.inference_mode(), self.autocast():
            return self.network(self.layout(images))

    def predict_stage(self, images: Tensor, stage: Stage) -> NetworkOutput:
        """Output of the tasks that are trained by the end of a stage, for validation: by default the whole network's.

        Args:
            images: (B, C, S, S).
            stage: the current stage.
        """
        return self.predict(images)

    def layout(self, images: Tensor) -> Tensor:
        """Images in the memory layout of the network; the same in training, validation and prediction."""
        channels_last = self.experiment.training.channels_last
        return images.contiguous(memory_format=torch.channels_last) if channels_last else images

    def micro_batches(self, batch: Batch) -> list[MicroBatch]:
        """Divide a batch into the micro-batches whose gradients `training.accumulate` adds up."""
        n, training = len(batch.labels), self.experiment.training
        count = micro_batch_count(n, training.batch_size, training.accumulate)
        split = zip(*(tensor.tensor_split(count) for tensor in batch), strict=True)
        return [MicroBatch(Batch(*tensors), len(tensors[-1]) / n) for tensors in split]

    def backward(self, loss: Tensor, inputs: Sequence[Tensor] | None = None) -> None:
        """Add the gradients of a loss.

        Args:
            loss: scalar.
            inputs: the only tensors that receive gradients; None for all.
        """
        self.scaler.scale(loss).backward(inputs=inputs)

    def update(self, *optimizers: torch.optim.Optimizer) -> None:
        """Step optimizers with the gradients that `backward` accumulated, clipped if the experiment asks for it."""
        clip = self.experiment.training.gradient_clip
        for optimizer in optimizers:
            if clip is not None:
                self.scaler.unscale_(optimizer)
                clip_gradients(optimizer, clip)
            self.scaler.step(optimizer)
        self.scaler.update()


def micro_batch_count(n: int, batch_size: int, accumulate: int) -> int:
    """The number of micro-batches of a batch.

    A micro-batch is at most one slice larger than those of a full batch. It never holds a single slice, for which batch
    norm has no variance if a map is one pixel, unless those of a full batch do.

    Args:
        n: slices of the batch.
        batch_size: slices of a full batch.
        accumulate: micro-batches of a full batch.
    """
    full = -(-batch_size // accumulate)
    return n if full == 1 else min(-(-n // full), max(1, n // 2))


def make_recipe(experiment: Experiment, compute: Compute, mask_prior: float | None = None) -> Recipe:
    """Build the network of an experiment on its device, and the recipe that trains it.

    Args:
        experiment: what to build.
        compute: device and precision.
        mask_prior: see `mmran.networks.build`; not needed if weights are loaded afterward.
    """
    spec = experiment.network
    network = build(spec.name, mask_prior=mask_prior, tasks=spec.tasks, **spec.arguments).to(compute.device)
    if experiment.training.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's own stubs
    module, _, name = network.recipe.partition(":")
    recipe_class: type[Recipe] = getattr(importlib.import_module(module), name)
    return recipe_class(network, experiment, compute.autocast, compute.scaler())
