"""The memory that tensors take in one training step, computed for every network without a GPU.

    python benchmarks/memory.py [--size 512] [--batch 10] [--accumulate 1] [EXPERIMENT ...]

The step runs on tensors with shapes but no values; every storage is counted while it lives: weights, gradients,
optimizers, what is kept for the backward pass, and what comes and goes. A GPU needs more than that: the workspaces of
convolutions, fragmentation, and the context of the process are not counted.
"""

import argparse
import dataclasses
import weakref
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.weak import WeakIdKeyDictionary

from mmran.config.configuration import Config
from mmran.config.experiment import Experiment
from mmran.config.load import load, overlay
from mmran.data.batches import Batch
from mmran.training.device import Compute
from mmran.training.recipe import Recipe, make_recipe

ROOT = Path(__file__).resolve().parents[1]


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all storages that the operations within it make, from when they are made until they go."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known = WeakIdKeyDictionary()

    def add(self, tensor: Any) -> None:
        if not isinstance(tensor, torch.Tensor):
            return
        storage = tensor.untyped_storage()
        if storage in self._known:
            return
        n_bytes = storage.nbytes()
        self._known[storage] = n_bytes
        self.live += n_bytes
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._gone, n_bytes)

    def _gone(self, n_bytes: int) -> None:
        self.live -= n_bytes

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        for tensor in tree_iter(result):
            self.add(tensor)
        return result


def peak_gib(experiment: Experiment) -> dict[str, float]:
    """Stage -> GiB at the fullest moment of its second step, when the optimizer has its averages."""
    size, n = experiment.input.size, experiment.training.batch_size
    peaks = {}
    # Tensors without values cannot be moved; they are where they should be, and their layout changes no size.
    with FakeTensorMode(), mock.patch.object(torch.nn.Module, "to", lambda self, *args, **kwargs: self):
        recipe = make_recipe(experiment, Compute(torch.device("cpu"), torch.bfloat16, 1))
        for stage in recipe.stages():
            recipe.begin(stage)
            recipe.network.train()
            images = torch.rand(n, 1, size, size)
            batch = Batch(images, images.round(), torch.zeros(n, dtype=torch.long))
            recipe.step(batch, stage, 0)
            counted = LiveBytes()
            for tensor in held(recipe):
                counted.add(tensor)
            with counted:
                recipe.step(batch, stage, 0)
            peaks[stage.name] = counted.peak / 2**30
    return peaks


def held(recipe: Recipe) -> list[Any]:
    """What lies in memory between two steps."""
    weights = list(recipe.network.state_dict(keep_vars=True).values())
    gradients = [parameter.grad for parameter in recipe.network.parameters()]
    return [*weights, *gradients, *tree_iter([optimizer.state_dict() for optimizer in recipe.optimizers.values()])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="default: one of each network")
    parser.add_argument("--size", type=int, default=512, help="pixels along a side (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=10, help="images of a step (default: %(default)s)")
    parser.add_argument("--accumulate", type=int, help="parts that a batch is computed in (default: as configured)")
    arguments = parser.parse_args()
    changes = {"input": {"size": arguments.size}, "training": {"batch_size": arguments.batch}}
    config = Config.checked(overlay(load([ROOT / "config.yaml"]), {"defaults": changes}))
    names = arguments.experiments or ["dynamic", *config.trained_for("table3")]
    print(f"{arguments.size} x {arguments.size} pixels, batch of {arguments.batch}, bfloat16, GiB of tensors")
    for name in names:
        experiment = config.resolve(name)
        if arguments.accumulate:
            training = dataclasses.replace(experiment.training, accumulate=arguments.accumulate)
            experiment = dataclasses.replace(experiment, training=training)
        peaks = peak_gib(experiment)
        stages = "" if len(peaks) == 1 else "  " + ", ".join(f"{stage} {gib:.1f}" for stage, gib in peaks.items())
        print(f"{name:12} accumulate {experiment.training.accumulate}  {max(peaks.values()):5.1f}{stages}", flush=True)


if __name__ == "__main__":
    main()
