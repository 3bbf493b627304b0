"""The one training loop: data, order, validation, checkpoints and logging for every network.

What happens to one batch is the recipe's. The loop knows no Ray and no Snakemake, and every random number follows
from (seed, epoch, slice), so that a training that is killed and started again ends in the same bits on a CPU.
"""

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mmran.config.experiment import Experiment, NetworkSpec
from mmran.data import counters
from mmran.data.batches import ResidentSlices, iterate
from mmran.errors import UserError
from mmran.networks import build, starts_masks
from mmran.training import checkpoint
from mmran.training.checkpoint import CheckpointFolder
from mmran.training.device import Compute
from mmran.training.history import Progress, write_history
from mmran.training.recipe import Recipe, Stage

# How often the loop waits for the device to learn that a loss is still a number.
FINITE_CHECK_STEPS = 50


@dataclass
class State:
    """Where a training stands, beside the weights and the optimizers.

    Attributes:
        stage: index of the stage in progress.
        epoch: epochs of that stage that are complete.
        best_score: highest mean of validation Dice and accuracy in this stage; -1 before its first epoch.
        best_epoch: the epoch of the whole training, from 0, that reached it.
        history: one row of plain numbers and texts per complete epoch.
        seconds: time spent training so far, interruptions left out.
        mask_prior: tumor probability that the masks started at, None for torch's own start.
    """

    stage: int = 0
    epoch: int = 0
    best_score: float = -1.0
    best_epoch: int = -1
    history: list[dict[str, float | int | str]] = field(default_factory=list)
    seconds: float = 0.0
    mask_prior: float | None = None


def make_recipe(experiment: Experiment, compute: Compute, mask_prior: float | None = None) -> Recipe:
    """Build the network of an experiment on its device, and the recipe that trains it.

    Args:
        experiment: what to build.
        compute: device and precision.
        mask_prior: see `mmran.networks.build`; weights that are loaded afterwards need none.
    """
    spec = experiment.network
    network = build(spec.name, mask_prior=mask_prior, **spec.arguments).to(compute.device)
    if experiment.training.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's own stubs
    module, _, name = network.recipe.partition(":")
    recipe_class: type[Recipe] = getattr(importlib.import_module(module), name)
    return recipe_class(network, experiment, compute.autocast)


def choose_mask_prior(spec: NetworkSpec, training: ResidentSlices) -> float | None:
    """The tumor probability that untrained masks start at, None for torch's own start.

    `mask_prior: data` means the share of tumor pixels in the training slices, at the network's size.

    Raises:
        UserError: the training slices have no tumor pixels, or nothing else.
    """
    asked = spec.mask_prior
    if asked is None or not starts_masks(spec.name):
        return None
    if not isinstance(asked, str):
        return float(asked)
    tumor, pixels = int(training.masks.sum(dtype=torch.int64)), training.masks.numel()
    if not 0 < tumor < pixels:
        raise UserError(
            f"network.mask_prior: {asked}: {tumor} of the training slices' {pixels} pixels are tumor; expected some, "
            "not all; check the masks, or set a number such as 0.02, or null"
        )
    return tumor / pixels


def train(
    experiment: Experiment,
    *,
    seed: int,
    training: ResidentSlices,
    validation: ResidentSlices,
    compute: Compute,
    folder: CheckpointFolder,
    log: Callable[[str], None] = print,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> tuple[Recipe, State]:
    """Train one trial to its last epoch, from its newest checkpoint if there is one.

    Args:
        experiment: what to train.
        seed: of the weights, the order and the augmentation.
        training, validation: slices on the device.
        compute: device and precision.
        folder: where checkpoints, best weights and history.csv are kept.
        log: receives one line per epoch.
        on_epoch: receives each row of the history, e.g. to report it elsewhere.

    Returns:
        The recipe, its network holding the weights to be evaluated (best or last, as the experiment says), and the
        final state.

    Raises:
        UserError: a loss is not finite, and the newest checkpoint is from before it; or the slices have no tumor.
    """
    mask_prior = choose_mask_prior(experiment.network, training)
    recipe = make_recipe(experiment, compute, mask_prior)
    state = _resume(recipe, folder, compute, log)
    state.mask_prior = mask_prior
    progress = Progress(experiment, recipe.stages(), log)
    if experiment.training.compile:
        recipe.network.compile(dynamic=False)
    stages = recipe.stages()
    while True:
        stage = stages[state.stage]
        while state.epoch < stage.epochs:
            row = _epoch(recipe, state, stage, seed, training, validation, progress)
            if float(row["score"]) > state.best_score:
                state.best_score, state.best_epoch = float(row["score"]), len(state.history)
                checkpoint.write(folder.best_path, {"digest": folder.digest, "network": recipe.network.state_dict()})
            state.history.append(row)
            state.epoch += 1
            state.seconds += float(row["seconds"])
            _save(recipe, state, folder, compute)
            write_history(folder.path / "history.csv", state.history)
            if on_epoch:
                on_epoch(row)
        if state.stage + 1 == len(stages):
            break
        # Only the last stage has trained the whole network: no earlier epoch may be the best.
        state.stage, state.epoch, state.best_score, state.best_epoch = state.stage + 1, 0, -1.0, -1
        recipe.begin(stages[state.stage])
    if experiment.training.selection == "best":
        recipe.network.load_state_dict(checkpoint.read(folder.best_path)["network"])
    return recipe, state


def _epoch(
    recipe: Recipe,
    state: State,
    stage: Stage,
    seed: int,
    training: ResidentSlices,
    validation: ResidentSlices,
    progress: Progress,
) -> dict[str, float | int | str]:
    """Train and validate one epoch; returns its row of the history."""
    number = len(state.history)
    experiment = recipe.experiment
    began = time.perf_counter()
    # Dropout draws from the global generator: a resumed epoch has to find it as the uninterrupted one did.
    torch.manual_seed(int(counters.stream_keys(seed, number, [0], counters.DROPOUT)[0] >> 1))
    recipe.network.train()
    totals: dict[str, Tensor] = {}
    batches = iterate(
        training,
        batch_size=experiment.training.batch_size,
        seed=seed,
        epoch=number,
        augmentation=experiment.augmentation,
        shuffle=True,
    )
    for step, batch in enumerate(batches):
        losses = recipe.step(_layout(batch, experiment), stage, state.epoch)
        for name, value in losses.items():
            totals[name] = totals.get(name, torch.zeros((), device=value.device)) + value * len(batch.labels)
        if step % FINITE_CHECK_STEPS == FINITE_CHECK_STEPS - 1:
            _check_finite(totals, number)
            progress.step(number, step * experiment.training.batch_size, len(training.labels), began)
    _check_finite(totals, number)
    means = {name: float(value) / len(training.labels) for name, value in totals.items()}
    seconds = time.perf_counter() - began
    metrics = validate(recipe, validation)
    row: dict[str, float | int | str] = {
        "epoch": number,
        "stage": stage.name,
        **means,
        **recipe.values(stage, state.epoch),
    }
    row |= {**metrics, "images_per_s": round(len(training.labels) / seconds, 2)}
    row["seconds"] = round(time.perf_counter() - began, 4)
    progress.epoch(row, state.seconds)
    return row


def validate(recipe: Recipe, slices: ResidentSlices) -> dict[str, float]:
    """Mean Dice of masks at .5 (Eq. 16, at the network's size) and accuracy (Eq. 20).

    Returns:
        val_dice, val_acc (each only for a network with that task) and score, their mean; all 0 to 1.
    """
    recipe.network.eval()
    dice, correct = [], []
    experiment = recipe.experiment
    for batch in iterate(
        slices, batch_size=experiment.training.batch_size, seed=0, epoch=0, augmentation=None, shuffle=False
    ):
        output = recipe.predict(_layout(batch, experiment).images)
        if output.mask_logits is not None:
            dice.append(_hard_dice(output.mask_logits >= 0, batch.masks > 0.5))
        if output.class_logits is not None:
            correct.append(output.class_logits.argmax(1) == batch.labels)
    metrics = {"val_dice": float(torch.cat(dice).mean())} if dice else {}
    metrics |= {"val_acc": float(torch.cat(correct).float().mean())} if correct else {}
    return {**metrics, "score": sum(metrics.values()) / len(metrics)}


def _hard_dice(predicted: Tensor, truth: Tensor) -> Tensor:
    """Dice per image of boolean masks (B, 1, S, S) -> (B,); two empty masks agree perfectly."""
    intersection = (predicted & truth).sum((1, 2, 3))
    total = predicted.sum((1, 2, 3)) + truth.sum((1, 2, 3))
    return torch.where(total == 0, 1.0, 2 * intersection / total.clamp(min=1))


def _layout(batch: Any, experiment: Experiment) -> Any:
    if not experiment.training.channels_last:
        return batch
    return batch._replace(images=batch.images.contiguous(memory_format=torch.channels_last))


def _check_finite(totals: dict[str, Tensor], epoch: int) -> None:
    for name, value in totals.items():
        if not torch.isfinite(value):
            raise UserError(
                f"epoch {epoch + 1}: {name} is {float(value)}; the last good checkpoint is kept. "
                "Lower training.learning_rate, or set training.precision: float32"
            )


def _save(recipe: Recipe, state: State, folder: CheckpointFolder, compute: Compute) -> None:
    optimizers = {name: optimizer.state_dict() for name, optimizer in recipe.optimizers.items()}
    network: nn.Module = recipe.network
    folder.save(
        {"network": network.state_dict(), "optimizers": optimizers, "state": vars(state), "threads": compute.threads}
    )


def _resume(recipe: Recipe, folder: CheckpointFolder, compute: Compute, log: Callable[[str], None]) -> State:
    saved, complaints = folder.load()
    for complaint in complaints:
        log(f"warning: {complaint}")
    stages = recipe.stages()
    if saved is None:
        recipe.begin(stages[0])
        return State()
    state = State(**saved["state"])
    # In this order: a stage may begin by handing weights on, and the checkpoint is from after that.
    recipe.begin(stages[state.stage])
    recipe.network.load_state_dict(saved["network"])
    for name, optimizer in recipe.optimizers.items():
        optimizer.load_state_dict(saved["optimizers"][name])
    log(f"continuing after epoch {len(state.history)} of {sum(s.epochs for s in stages)}")
    if saved["threads"] != compute.threads:
        log(
            f"warning: started with {saved['threads']} threads, continuing with {compute.threads}: "
            "the last bits of the weights will differ from an uninterrupted run"
        )
    return state
