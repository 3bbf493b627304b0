"""What the training loop costs beside a bare hand-written step, and what precision and memory layout gain.

    python benchmarks/training.py [--width 0.125] [--size 96] [--threads 1]

Prints ratios of one run. The bare step is forward, losses, backward and Adam on one batch that lies ready; the loop
adds order, normalisation, augmentation, bookkeeping, validation and the checkpoint of every epoch.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from mmran.config.configuration import Config
from mmran.config.experiment import Experiment
from mmran.config.load import load, overlay
from mmran.data.augment import Augmentation
from mmran.data.batches import Batch, ResidentSlices, iterate
from mmran.training.checkpoint import CheckpointFolder
from mmran.training.device import Compute
from mmran.training.engine import State, _save, make_recipe

BATCHES = 12
ROOT = Path(__file__).resolve().parents[1]


def experiment(width: float, size: int, precision: str, channels_last: bool) -> Experiment:
    changes = {
        "network": {"width": width},
        "input": {"size": size},
        "training": {"precision": precision, "channels_last": channels_last},
    }
    return Config.checked(overlay(load([ROOT / "config.yaml"]), {"defaults": changes})).resolve("mmran")


def slices(size: int, device: torch.device) -> ResidentSlices:
    n = 10 * BATCHES
    return ResidentSlices(
        images=torch.randint(0, 255, (n, size, size), dtype=torch.uint8, device=device),
        masks=torch.randint(0, 2, (n, size, size), dtype=torch.uint8, device=device),
        labels=torch.arange(n, device=device) % 3,
        numbers=torch.arange(n),
        low=torch.zeros(n, device=device),
        high=torch.full((n,), 255.0, device=device),
    )


def seconds(work: Callable[[], None]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(arguments: argparse.Namespace, precision: str, channels_last: bool) -> dict[str, float]:
    chosen = experiment(arguments.width, arguments.size, precision, channels_last)
    compute = Compute.choose(
        gpu=torch.cuda.is_available(), threads=arguments.threads, precision=precision, deterministic=False, seed=0
    )
    recipe = make_recipe(chosen, compute)
    (stage,) = recipe.stages()
    recipe.begin(stage)
    data = slices(arguments.size, compute.device)
    order = torch.channels_last if channels_last else torch.contiguous_format

    def batches(augmentation: Augmentation | None) -> list[Batch]:
        found = iterate(data, batch_size=10, seed=0, epoch=0, augmentation=augmentation, shuffle=True)
        return [batch._replace(images=batch.images.contiguous(memory_format=order)) for batch in found]

    ready = batches(None)
    recipe.step(ready[0], stage, 0)

    def step() -> None:
        for batch in ready:
            recipe.step(batch, stage, 0)

    with tempfile.TemporaryDirectory() as folder:
        kept = CheckpointFolder(Path(folder), "benchmark")
        return {
            "step": min(seconds(step) for _ in range(3)),
            "data": min(seconds(lambda: batches(None) and None) for _ in range(3)),
            "augmentation": min(seconds(lambda: batches(chosen.augmentation) and None) for _ in range(3)),
            "checkpoint": min(seconds(lambda: _save(recipe, State(), kept, compute)) for _ in range(3)),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=float, default=0.125)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    base = measure(arguments, "float32", False)
    print(f"MMRAN, width {arguments.width}, {arguments.size} px, {arguments.threads} threads, {10 * BATCHES} slices")
    for precision, channels_last in (("float32", False), ("float32", True), ("bfloat16", False), ("bfloat16", True)):
        found = measure(arguments, precision, channels_last)
        layout = "channels last" if channels_last else "channels first"
        data = found["augmentation"] / found["step"]
        print(
            f"{precision:9} {layout:15} step {base['step'] / found['step']:.2f} times as fast as float32; batches with "
            f"augmentation cost {100 * data:.1f} % of a step, without {100 * found['data'] / found['step']:.1f} %; "
            f"a checkpoint costs {100 * found['checkpoint'] / found['step']:.1f} % of an epoch of {BATCHES} steps"
        )


if __name__ == "__main__":
    main()
