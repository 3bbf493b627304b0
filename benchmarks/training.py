"""What the training loop costs compared with a bare hand-written step, and what precision and memory layout gain.

    python benchmarks/training.py [--network mmran] [--width 0.125] [--size 96] [--threads 1]

Prints ratios within one run. The bare step is forward, losses, backward and Adam on batches that are ready; the loop
adds order, normalization, augmentation and bookkeeping, and after every epoch a snapshot of weights and optimizers.
Every few minutes a thread writes the newest snapshot as a checkpoint; its seconds, spread over
`training.checkpoint_minutes`, are the most that checkpoints cost, if the thread has no idle core.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mmran.config.configuration import Config
from mmran.config.experiment import Experiment
from mmran.config.load import load, overlay
from mmran.data.augmentation import Augmentation
from mmran.data.batches import Batch, ResidentSlices, iterate
from mmran.training.checkpoint import CheckpointFolder
from mmran.training.device import Compute
from mmran.training.recipe import make_recipe
from mmran.training.saver import host_copy

BATCHES = 12
ROOT = Path(__file__).resolve().parents[1]


def experiment(arguments: argparse.Namespace, precision: str, channels_last: bool) -> Experiment:
    changes = {
        "network": {"width": arguments.width},
        "input": {"size": arguments.size},
        "training": {"precision": precision, "channels_last": channels_last},
    }
    values = overlay(load([ROOT / "config.yaml"]), {"source": "phantom", "defaults": changes})
    return Config.checked(values).resolve(arguments.network)


def slices(n: int, size: int, device: torch.device) -> ResidentSlices:
    """Noise: what an image shows does not change its cost."""
    return ResidentSlices(
        images=torch.randint(0, 255, (n, 1, size, size), dtype=torch.uint8, device=device),
        masks=torch.randint(0, 2, (n, size, size), dtype=torch.uint8, device=device),
        labels=torch.arange(n, device=device) % 3,
        numbers=torch.arange(n),
        low=torch.zeros((n, 1), device=device),
        high=torch.full((n, 1), 255.0, device=device),
    )


def seconds(work: Callable[[], Any]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(arguments: argparse.Namespace, precision: str, channels_last: bool) -> dict[str, float]:
    chosen = experiment(arguments, precision, channels_last)
    gpu = torch.cuda.is_available()
    compute = Compute.choose(gpu=gpu, threads=arguments.threads, precision=precision, deterministic=False, seed=0)
    recipe = make_recipe(chosen, compute)
    stage = recipe.stages()[-1]
    recipe.begin(stage)
    data = slices(10 * BATCHES, arguments.size, compute.device)

    def batches(augmentation: Augmentation | None) -> list[Batch]:
        found = iterate(data, batch_size=10, seed=0, epoch=0, augmentation=augmentation, shuffle=True)
        return [batch._replace(images=recipe.layout(batch.images)) for batch in found]

    ready = batches(None)
    recipe.step(ready[0], stage, 0)

    def step() -> None:
        for batch in ready:
            recipe.step(batch, stage, 0)

    def snapshot() -> dict[str, Any]:
        optimizers = {name: optimizer.state_dict() for name, optimizer in recipe.optimizers.items()}
        copy: dict[str, Any] = host_copy({"network": recipe.network.state_dict(), "optimizers": optimizers})
        return copy

    with tempfile.TemporaryDirectory() as folder:
        kept, held = CheckpointFolder(Path(folder), "benchmark"), snapshot()
        return {
            "step": min(seconds(step) for _ in range(3)),
            "data": min(seconds(lambda: batches(None)) for _ in range(3)),
            "augmentation": min(seconds(lambda: batches(chosen.augmentation)) for _ in range(3)),
            "snapshot": min(seconds(snapshot) for _ in range(3)),
            "write": min(seconds(lambda: kept.save(held)) for _ in range(3)),
            "interval": 60 * chosen.training.checkpoint_minutes,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="mmran", help="experiment of config.yaml")
    parser.add_argument("--width", type=float, default=0.125)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    base = measure(arguments, "float32", False)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {arguments.threads} threads"
    print(f"{arguments.network}, width {arguments.width}, {arguments.size} px, {10 * BATCHES} slices, {device}")
    for precision, channels_last in (("float32", False), ("float32", True), ("bfloat16", False), ("bfloat16", True)):
        found = measure(arguments, precision, channels_last)
        layout = "channels last" if channels_last else "channels first"
        share = {key: 100 * found[key] / found["step"] for key in ("data", "augmentation", "snapshot")}
        print(
            f"{precision:9} {layout:15} step {base['step'] / found['step']:.2f} times as fast as float32; batches with "
            f"augmentation cost {share['augmentation']:.1f} % of a step, without {share['data']:.1f} %; "
            f"a snapshot costs {share['snapshot']:.2f} % of an epoch of {BATCHES} steps ({found['step']:.1f} s), "
            f"writing it {found['write']:.2f} s, {100 * found['write'] / found['interval']:.2f} % of the interval"
        )


if __name__ == "__main__":
    main()
