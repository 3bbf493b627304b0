"""The one training loop: data, order, validation, checkpoints and logging for every network.

The recipe decides what happens to one batch. The loop knows no Ray and no Snakemake, and every random number follows
from (seed, epoch, slice), so that a training that is killed and restarted ends with the same bits on a CPU.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from mmran.config.experiment import Experiment
from mmran.data import counters
from mmran.data.batches import ResidentSlices, iterate
from mmran.errors import UserError
from mmran.networks.encoder_weights import load_encoder
from mmran.training.average import WeightAverage
from mmran.training.checkpoint import CheckpointFolder
from mmran.training.compilation import compile_modules
from mmran.training.device import Compute
from mmran.training.history import HistoryRow, write_history
from mmran.training.mask_prior import choose_mask_prior
from mmran.training.optimizers import restore
from mmran.training.preflight import check_options, check_single_slices, extra_transforms
from mmran.training.progress import Progress
from mmran.training.recipe import Recipe, Stage, make_recipe
from mmran.training.record import Machine
from mmran.training.saver import Saver, host_copy
from mmran.training.state import State
from mmran.training.validation import validate

FINITE_CHECK_STEPS = 50
"""Steps between finite-loss checks, which sync the device."""


def train(
    experiment: Experiment,
    *,
    seed: int,
    training: ResidentSlices,
    validation: ResidentSlices,
    compute: Compute,
    folder: CheckpointFolder,
    log: Callable[[str], None],
    on_epoch: Callable[[HistoryRow], None] | None = None,
) -> tuple[Recipe, State]:
    """Train one trial to its last epoch, from its newest checkpoint if there is one.

    Args:
        experiment: what to train.
        seed: seed of the weights, the order and the augmentation.
        training: slices on the device.
        validation: slices on the device.
        compute: device and precision.
        folder: folder of the checkpoints and of history.csv.
        log: receives one line per epoch.
        on_epoch: receives each row of the history, e.g. to report it elsewhere.

    Returns:
        The recipe, whose network holds the weights to evaluate (best or last, as the experiment says), and the final
        state.

    Raises:
        UserError: an option is out of range, the slices have no tumor, or a loss is not finite; the newest checkpoint
            is from before that.
    """
    check_options(experiment)
    check_single_slices(experiment, len(training))
    loop = _Loop(experiment, seed, training, validation, compute, folder, log, on_epoch or _ignore)
    with Saver(folder, experiment.training.checkpoint_minutes, log) as saver:
        loop.run(saver)
    return loop.recipe, loop.state


def _ignore(row: HistoryRow) -> None:
    pass


@dataclass
class _Loop:
    """One training: the arguments of `train`, its recipe, its position and its best weights of the current stage."""

    experiment: Experiment
    seed: int
    training: ResidentSlices
    validation: ResidentSlices
    compute: Compute
    folder: CheckpointFolder
    log: Callable[[str], None]
    on_epoch: Callable[[HistoryRow], None]

    def __post_init__(self) -> None:
        self.machine = self.compute.machine()
        self.transforms = extra_transforms(self.experiment)
        self.mask_prior = choose_mask_prior(self.experiment.network, self.training)
        self.best: dict[str, Tensor] | None = None
        self.state = State(mask_prior=self.mask_prior)
        self.average: WeightAverage | None = None
        self.recipe = self._resume()
        self.stages = self.recipe.stages()
        self.progress = Progress(self.experiment.name, self.stages, self.log)
        if self.experiment.training.compile:
            compile_modules(self.recipe)

    def run(self, saver: Saver) -> None:
        """Train to the last epoch."""
        state = self.state
        while True:
            stage = self.stages[state.stage]
            while state.epoch < stage.epochs:
                self._complete(self._epoch(stage), saver)
            if self._selection(state.stage) == "best" and self.best is not None:
                self.recipe.network.load_state_dict(self.best)
            elif self.average:
                self.recipe.network.load_state_dict(self.average.weights)
            if state.stage + 1 == len(self.stages):
                return
            state.stage, state.epoch, state.best_score, state.best_epoch = state.stage + 1, 0, -1.0, -1
            self.best = None
            self.recipe.begin(self.stages[state.stage])
            self.average = self._new_average(self.recipe)

    def _selection(self, stage: int) -> str:
        """Which weights of a stage are kept: best or last."""
        options = self.experiment.training
        return options.selection if stage + 1 == len(self.recipe.stages()) else options.stage_selection

    def _complete(self, row: HistoryRow, saver: Saver) -> None:
        """Count an epoch, keep its weights if they are the best, and pass a snapshot to the saver."""
        state = self.state
        state.history.append(row)
        state.epoch += 1
        state.seconds += row.seconds
        snapshot = self._snapshot()
        if row.score > state.best_score:
            state.best_score, state.best_epoch = row.score, row.epoch
            evaluated = snapshot["average"]["weights"] if self.average else snapshot["network"]
            self.best = evaluated if self._selection(state.stage) == "best" else None
        saver.offer({**snapshot, "state": asdict(state), "best": self.best, "machine": asdict(self.machine)})
        write_history(self.folder.path / "history.csv", state.history)
        self.on_epoch(row)

    def _snapshot(self) -> dict[str, Any]:
        recipe = self.recipe
        optimizers = {name: optimizer.state_dict() for name, optimizer in recipe.optimizers.items()}
        values = {
            "network": recipe.network.state_dict(),
            "optimizers": optimizers,
            "scaler": recipe.scaler.state_dict(),
            "average": self.average.state() if self.average else None,
        }
        copy: dict[str, Any] = host_copy(values)
        return copy

    def _epoch(self, stage: Stage) -> HistoryRow:
        """Train and validate one epoch."""
        recipe, state, number = self.recipe, self.state, len(self.state.history)
        began = time.perf_counter()
        # Dropout draws from the global generator: a resumed epoch must find it as the uninterrupted one did.
        torch.manual_seed(int(counters.stream_keys(self.seed, number, [0], counters.DROPOUT)[0] >> 1))
        recipe.network.train()
        recipe.begin_epoch(stage, state.epoch)
        losses = self._train_epoch(stage, number, began)
        seconds = time.perf_counter() - began
        with self.average.applied(recipe.network) if self.average else contextlib.nullcontext():
            metrics = validate(recipe, self.validation, stage)
        row = HistoryRow(
            epoch=number,
            stage=stage.name,
            losses=losses,
            values=self._values(stage),
            val_dice=metrics.dice,
            val_acc=metrics.accuracy,
            score=metrics.score,
            images_per_s=round(len(self.training) / seconds, 2),
            seconds=round(time.perf_counter() - began, 4),
            device=self.machine.device,
            precision=self.machine.precision,
            threads=self.machine.threads,
        )
        self.progress.epoch(row, state.seconds)
        return row

    def _values(self, stage: Stage) -> dict[str, float]:
        """What the recipe reports about an epoch, and the learning rate if it changes."""
        options, values = self.experiment.training, self.recipe.values(stage, self.state.epoch)
        if options.learning_rate_schedule == "constant" and not options.warmup_epochs:
            return values
        first = next(iter(self.recipe.optimizers.values()))
        return {**values, "learning_rate": float(first.param_groups[0]["lr"])}

    def _train_epoch(self, stage: Stage, number: int, began: float) -> dict[str, float]:
        """Train on every slice once; returns the mean of each loss."""
        recipe, n = self.recipe, len(self.training)
        batch_size = self.experiment.training.batch_size
        totals: dict[str, Tensor] = {}
        batches = iterate(
            self.training,
            batch_size=batch_size,
            seed=self.seed,
            epoch=number,
            augmentation=self.experiment.augmentation,
            shuffle=True,
            merge_single=True,
            transforms=self.transforms,
        )
        for step, batch in enumerate(batches):
            batch = batch._replace(images=recipe.layout(batch.images))
            for name, value in recipe.step(batch, stage, self.state.epoch).items():
                totals[name] = totals.get(name, torch.zeros((), device=value.device)) + value * len(batch.labels)
            if self.average:
                self.average.update(recipe.network)
            if step % FINITE_CHECK_STEPS == FINITE_CHECK_STEPS - 1:
                self._check_finite(totals, number)
                self.progress.step(number, step * batch_size, n, began)
        self._check_finite(totals, number)
        return {name: float(value) / n for name, value in totals.items()}

    def _check_finite(self, totals: dict[str, Tensor], epoch: int) -> None:
        for name, value in totals.items():
            if not torch.isfinite(value):
                compiled = ", or training.compile: false" if self.experiment.training.compile else ""
                raise UserError(
                    f"epoch {epoch + 1}: {name} is {float(value)}; the last good checkpoint is kept. "
                    f"Lower training.learning_rate, or set training.precision: float32{compiled}"
                )

    def _resume(self) -> Recipe:
        """The recipe as the newest usable checkpoint has it, or at the start of the training."""
        found = False
        for path, saved in self.folder.load(self.log):
            found = True
            recipe = self._new_recipe()
            try:
                self._restore(recipe, saved)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError) as error:
                self.log(f"warning: {path}: not a usable checkpoint ({' '.join(str(error).split())}); ignored")
                continue
            return recipe
        if found:
            self.log("warning: no usable checkpoint; training from the beginning")
        self.state, self.best = State(mask_prior=self.mask_prior), None
        recipe = self._new_recipe()
        self._load_encoder(recipe)
        recipe.begin(recipe.stages()[0])
        self.average = self._new_average(recipe)
        return recipe

    def _new_average(self, recipe: Recipe) -> WeightAverage | None:
        decay = self.experiment.training.ema_decay
        return None if decay is None else WeightAverage(recipe.network, decay)

    def _new_recipe(self) -> Recipe:
        torch.manual_seed(self.seed)
        return make_recipe(self.experiment, self.compute, self.mask_prior)

    def _load_encoder(self, recipe: Recipe) -> None:
        """Copy published weights into the encoder, if the experiment names a file, and log what fits."""
        weights = self.experiment.network.encoder_weights
        if weights is None:
            return
        self.state.encoder = load_encoder(recipe.network, weights.verified())
        for line in self.state.encoder.lines(weights.path):
            self.log(line)

    def _restore(self, recipe: Recipe, saved: dict[str, Any]) -> None:
        stages = recipe.stages()
        state = State.from_values(saved["state"], stages)
        # In this order: a stage may begin by copying weights, and the checkpoint was written after that.
        recipe.begin(stages[state.stage])
        recipe.network.load_state_dict(saved["network"])
        for name, optimizer in recipe.optimizers.items():
            restore(optimizer, saved["optimizers"][name])
        if recipe.scaler.is_enabled() and saved["scaler"]:
            recipe.scaler.load_state_dict(saved["scaler"])
        self.average = self._new_average(recipe)
        if self.average:
            self.average.load(saved["average"])
        before = Machine(**saved["machine"])
        self.best, self.state = saved["best"], state
        write_history(self.folder.path / "history.csv", state.history)
        self.log(f"continuing after epoch {len(state.history)} of {sum(stage.epochs for stage in stages)}")
        if before != self.machine:
            self.log(
                f"warning: the epochs before ran on {_described(before)}, the next run on {_described(self.machine)}; "
                "history.csv records it for every epoch, and the weights will differ from an uninterrupted training"
            )


def _described(machine: Machine) -> str:
    return f"{machine.device_name} ({machine.device}, {machine.precision}, threads: {machine.threads})"
