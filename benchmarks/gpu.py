"""What a training step costs on a CUDA device, compared with a bare hand-written step and with the card's own rate.

    python benchmarks/gpu.py [--experiments dynamic mmran] [--size 256] [--compile] [--profile]

Prints, for each experiment of config.yaml: the step in each precision, memory layout, and mode, as a share of the rate
of a matrix product in bfloat16 on the same card; its peak memory; the whole loop against a bare step; what augmentation
adds to it.
"""

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from training import slices  # benchmarks/training.py

from mmran.config.configuration import Config
from mmran.config.experiment import Experiment
from mmran.config.load import load, overlay
from mmran.data.batches import Batch, iterate
from mmran.training.checkpoint import CheckpointFolder
from mmran.training.compilation import compile_modules
from mmran.training.device import Compute
from mmran.training.engine import train
from mmran.training.recipe import Recipe, make_recipe

ROOT = Path(__file__).resolve().parents[1]
DEVICE = torch.device("cuda")
BATCHES = 50
STEPS = 20


def resolve(name: str, size: int, **training: Any) -> Experiment:
    defaults = {"input": {"size": size}, "training": {"selection": "last"} | training}
    values = overlay(load([ROOT / "config.yaml"]), {"source": "phantom", "defaults": defaults})
    return Config.checked(values).resolve(name)


def seconds(work: Callable[[], Any], n: int) -> float:
    """Median of three, of one of `n` calls, after two calls to warm up."""
    work(), work()
    measured = []
    for _ in range(3):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(n):
            work()
        torch.cuda.synchronize()
        measured.append((time.perf_counter() - start) / n)
    return statistics.median(measured)


def matrix_rate() -> float:
    """FLOP per second of a product of two matrices of 8192 x 8192 in bfloat16."""
    n = 8192
    a, b = (torch.randn(n, n, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    return 2 * n**3 / seconds(lambda: a @ b, 10)


def first_batch(recipe: Recipe, size: int) -> Batch:
    batches = iterate(slices(10, size, DEVICE), batch_size=10, seed=0, epoch=0, augmentation=None, shuffle=False)
    batch = next(iter(batches))
    return batch._replace(images=recipe.layout(batch.images))


def bare_step(network: torch.nn.Module, batch: Batch) -> Callable[[], None]:
    """A step written by hand: forward, Dice and focal loss, backward, Adam."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    truths = batch.masks.flatten(1)

    def dice(logits: Tensor) -> Tensor:
        found = logits.float().sigmoid().flatten(1)
        return 1 - ((2 * (found * truths).sum(1) + 1) / (found.sum(1) + truths.sum(1) + 1)).mean()

    def focal(logits: Tensor) -> Tensor:
        true = functional.log_softmax(logits.float(), 1).gather(1, batch.labels[:, None])
        return -(0.25 * (1 - true.exp()) ** 2 * true).mean()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            output = network(batch.images)
        (0.5 * dice(output.mask_logits) + 0.5 * focal(output.class_logits)).backward()
        optimizer.step()

    return step


def prepared(experiment: Experiment) -> tuple[Recipe, Batch, Callable[[], Any]]:
    options = experiment.training
    compute = Compute.choose(
        gpu=True, threads=1, precision=options.precision, deterministic=options.deterministic, seed=0
    )
    recipe = make_recipe(experiment, compute, 0.02)
    recipe.network.train()
    stage = recipe.stages()[-1]
    recipe.begin(stage)
    batch = first_batch(recipe, experiment.input.size)
    return recipe, batch, lambda: recipe.step(batch, stage, 1)


def step_line(experiment: Experiment, rate: float) -> str:
    """One row: a step's time, its rate, and its memory."""
    options = experiment.training
    recipe, _, step = prepared(experiment)
    with FlopCounterMode(display=False) as counter:
        step()
    flops = counter.get_total_flops()
    compiling = 0.0
    if options.compile:
        compile_modules(recipe)
        torch.cuda.synchronize()
        start = time.perf_counter()
        step()
        torch.cuda.synchronize()
        compiling = time.perf_counter() - start
    torch.cuda.reset_peak_memory_stats()
    one = seconds(step, STEPS)
    memory = torch.cuda.max_memory_allocated() / 2**30
    layout = "channels last" if options.channels_last else "channels first"
    mode = "deterministic" if options.deterministic else "free"
    return (
        f"{experiment.name:8} {experiment.input.size} px {options.precision:8} {layout:14} {mode:13} "
        f"{'compiled ' if options.compile else ''}{1000 * one:7.2f} ms {flops / 1e12:6.2f} TFLOP "
        f"{flops / one / 1e12:6.1f} TFLOP/s {100 * flops / one / rate:5.1f} % of the matrix product, "
        f"{memory:.1f} GiB" + (f", first step {compiling:.0f} s" if options.compile else "")
    )


def loop_line(experiment: Experiment) -> str:
    """The whole loop, order, augmentation and bookkeeping included, against a bare step on one batch."""
    recipe, batch, own = prepared(experiment)
    bare, own_step = seconds(bare_step(recipe.network, batch), STEPS), seconds(own, STEPS)
    del recipe, own
    size = experiment.input.size
    data, few = slices(10 * BATCHES, size, DEVICE), slices(10, size, DEVICE)
    compute = Compute.choose(
        gpu=True, threads=1, precision="bfloat16", deterministic=experiment.training.deterministic, seed=0
    )

    def loop(chosen: Experiment) -> float:
        with tempfile.TemporaryDirectory() as folder:
            _, state = train(
                chosen,
                seed=0,
                training=data,
                validation=few,
                compute=compute,
                folder=CheckpointFolder(Path(folder), "benchmark"),
                log=lambda line: None,
            )
        return 10 / statistics.median(row.images_per_s for row in state.history[1:])

    plain = dataclasses.replace(experiment.augmentation, probability=0.0)
    with_augmentation, without = loop(experiment), loop(dataclasses.replace(experiment, augmentation=plain))
    times = [f"{one / bare:.3f}" for one in (own_step, without, with_augmentation)]
    return (
        f"{experiment.name:8} {experiment.input.size} px, bare step {1000 * bare:.2f} ms; of it, our step {times[0]}, "
        f"the loop {times[1]} without augmentation and {times[2]} with it"
    )


def profile_lines(experiment: Experiment) -> list[str]:
    """The ten kernels that take most of a step."""
    _, _, step = prepared(experiment)
    step(), step()
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profiler:
        for _ in range(5):
            step()
        torch.cuda.synchronize()
    events = [event for event in profiler.key_averages() if event.self_device_time_total > 0]
    kernels = [event for event in events if event.device_type == torch.autograd.DeviceType.CUDA]
    whole = sum(event.self_device_time_total for event in kernels)
    kernels.sort(key=lambda event: -event.self_device_time_total)
    return [f"{experiment.name}: {whole / 5000:.2f} ms of kernels in a step"] + [
        f"  {100 * event.self_device_time_total / whole:5.1f} % {event.count / 5:6.1f} calls  {event.key[:150]}"
        for event in kernels[:10]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", nargs="+", default=["dynamic", "mmran"], help="of config.yaml")
    parser.add_argument("--size", type=int, default=256, help="side of an image (default: %(default)s)")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile too, which takes minutes")
    parser.add_argument("--profile", action="store_true", help="print the ten kernels that take most of a step")
    parser.add_argument("--steps-only", action="store_true", help="measure steps, not the loop")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("torch sees no CUDA device; benchmarks/training.py measures a CPU")
    rate = matrix_rate()
    card = f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    print(f"{card}, matrix product {rate / 1e12:.0f} TFLOP/s in bfloat16")
    variants: list[dict[str, Any]] = [
        {"precision": "bfloat16"},
        {"precision": "bfloat16", "deterministic": False},
        {"precision": "bfloat16", "channels_last": False},
        {"precision": "float32"},
    ]
    if arguments.compile:
        variants += [{"precision": "bfloat16", "deterministic": False, "compile": True}]
    for name in arguments.experiments:
        for variant in variants:
            print(step_line(resolve(name, arguments.size, **variant), rate), flush=True)
            torch.cuda.empty_cache()
        if not arguments.steps_only:
            print(loop_line(resolve(name, arguments.size, precision="bfloat16", epochs=4)), flush=True)
            torch.cuda.empty_cache()
        if arguments.profile:
            print("\n".join(profile_lines(resolve(name, arguments.size, precision="bfloat16"))), flush=True)
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
