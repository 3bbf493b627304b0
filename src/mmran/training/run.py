"""Train one trial in this process, and load what was trained."""

import contextlib
import platform
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from mmran.data.batches import ResidentSlices
from mmran.data.channels import known_channels
from mmran.data.published import CLASSES
from mmran.data.splits import read_split
from mmran.data.store import SliceStore
from mmran.data.tasks import CLASSIFICATION
from mmran.errors import UserError
from mmran.files import atomic_path, locked, sha256_file, sweep_partial
from mmran.networks import tasks_of
from mmran.training.checkpoint import CheckpointFolder
from mmran.training.device import Compute
from mmran.training.engine import train
from mmran.training.history import HistoryRow, write_history
from mmran.training.mlflow_run import TrackedRun
from mmran.training.recipe import Recipe, make_recipe
from mmran.training.record import RunRecord
from mmran.training.scalars import Scalars
from mmran.training.state import State
from mmran.training.trial import RECORD, RESULTS, WEIGHTS, Trial
from mmran.version import __version__


def say(line: str) -> None:
    """Print a line and flush: a reader behind a pipe wants each epoch as it ends."""
    print(line, flush=True)


def run_trial(
    trial: Trial,
    *,
    gpu: bool,
    threads: int,
    log: Callable[[str], None] = say,
    on_epoch: Callable[[HistoryRow], None] | None = None,
) -> Path:
    """Train a trial unless it is finished; return its folder with weights.safetensors, history.csv and run.json.

    Args:
        trial: what to train.
        gpu: whether to compute on the CUDA device.
        threads: CPU threads.
        log: receives one line per epoch.
        on_epoch: receives the history row of each epoch.

    Raises:
        UserError: the data, the machine, or the training is at fault.
    """
    with locked(trial.folder / "lock", f"{trial.folder}: another process is training this; waiting for it"):
        sweep_partial(trial.folder)
        name = f"{trial.experiment.name} {trial.name}"
        if trial.finished():
            log(f"{name}: already trained, kept")
            return trial.folder
        if damage := trial.damage():
            log(f"warning: {name}: {damage}; training it again")
            discard_results(trial)
        options = trial.experiment.training
        compute = Compute.choose(
            gpu=gpu,
            threads=threads,
            precision=options.precision,
            deterministic=options.deterministic,
            seed=trial.seed,
        )
        slices = {role: load_slices(trial, role, compute.device) for role in ("train", "val")}
        folder = CheckpointFolder(trial.folder, trial.digest)
        with _watched(trial, on_epoch, log) as report:
            recipe, state = train(
                trial.experiment,
                seed=trial.seed,
                training=slices["train"],
                validation=slices["val"],
                compute=compute,
                folder=folder,
                log=log,
                on_epoch=report,
            )
        _finish(trial, recipe, state, compute)
        folder.discard()
        return trial.folder


@contextlib.contextmanager
def _watched(
    trial: Trial, on_epoch: Callable[[HistoryRow], None] | None, log: Callable[[str], None]
) -> Iterator[Callable[[HistoryRow], None]]:
    """What receives each epoch: MLflow and TensorBoard too, where they are asked for."""
    with contextlib.ExitStack() as stack:
        receivers: list[Callable[[HistoryRow], None]] = [stack.enter_context(TrackedRun(trial, log)).write]
        if trial.experiment.training.tensorboard:
            receivers.append(stack.enter_context(Scalars(trial.scalars_folder)).write)
        if on_epoch:
            receivers.append(on_epoch)

        def report(row: HistoryRow) -> None:
            for receive in receivers:
                receive(row)

        yield report


def discard_results(trial: Trial) -> None:
    """Remove a trial's results, the record first: without it the trial is unfinished."""
    for name in reversed(RESULTS):
        (trial.folder / name).unlink(missing_ok=True)


def load_slices(trial: Trial, role: str, device: torch.device) -> ResidentSlices:
    """Put the slices of one side of the trial's fold on a device.

    Raises:
        UserError: the side is empty.
    """
    rows = read_split(trial.split)
    chosen = rows[(rows["fold"] == trial.fold) & (rows["role"] == role)]
    if chosen.empty:
        raise UserError(f"{trial.split}: fold {trial.fold} has no {role} slices; every fold needs train, val and test")
    with SliceStore(trial.store) as store:
        _refuse_other_data(trial, store)
        options = trial.experiment.input
        return ResidentSlices.load(
            store,
            chosen["slice"].to_numpy(),
            size=options.size,
            fit=options.fit,
            percentiles=options.percentiles,
            device=device,
        )


def _refuse_other_data(trial: Trial, store: SliceStore) -> None:
    """Refuse slices without what the network learns, or of another number of channels or classes than it has."""
    network = trial.experiment.network
    tasks = network.tasks or tasks_of(network.name)
    if lacking := [task for task in tasks if task not in store.tasks]:
        raise UserError(
            f"{trial.store}: has no data for {lacking[0]}, which {trial.experiment.name} learns; set data.tasks to "
            f"[{', '.join(store.tasks)}], and write the specification again"
        )
    if (len(store.channels) or 1) != network.channels:
        raise UserError(
            f"{trial.store}: has {known_channels(store.channels)}, but {trial.experiment.name} takes "
            f"{network.channels}; name them in data.channels, and write the specification again"
        )
    n = network.options.get("n_classes", len(CLASSES))
    if len(store.classes) != n and CLASSIFICATION in tasks:
        raise UserError(
            f"{trial.store}: has the classes {', '.join(store.classes)}, but {trial.experiment.name} predicts {n}; "
            "name them in data.classes, and write the specification again"
        )


def load_recipe(trial: Trial, folder: Path, compute: Compute) -> Recipe:
    """The trained network of a trial, in evaluation mode.

    Args:
        trial: what was trained.
        folder: of its weights and record, such as trials/NAME below the experiment's results.
        compute: where to put the network.

    Raises:
        UserError: the folder holds another training, or its weights do not match the record.
    """
    from safetensors.torch import load_file

    path, record = folder / WEIGHTS, RunRecord.read(folder / RECORD)
    if record.digest != trial.digest:
        raise UserError(
            f"{folder / RECORD}: records training {record.digest[:12]}, expected {trial.digest[:12]}: specification, "
            "data or split changed since the training; run `mmran train` again"
        )
    if sha256_file(path) != record.weights_sha256:
        raise UserError(
            f"{path}: not the weights that {folder / RECORD} records; run `mmran train` again, or delete runs.json of "
            "the experiment and run snakemake again"
        )
    recipe = make_recipe(trial.experiment, compute)
    recipe.network.load_state_dict(load_file(path))
    recipe.network.eval()
    return recipe


def _finish(trial: Trial, recipe: Recipe, state: State, compute: Compute) -> None:
    """Write weights, history and, last, the record that marks the trial as finished."""
    # Imported here: a machine that only trains may lack the package until there are weights to write.
    from safetensors.torch import save_file

    tensors = {key: value.detach().contiguous().cpu() for key, value in recipe.network.state_dict().items()}
    with atomic_path(trial.weights_path) as temporary:
        # One entry: the order of several changes from run to run, and so would the digest.
        save_file(tensors, temporary, metadata={"digest": trial.digest})
    write_history(trial.history_path, state.history)
    machine = compute.machine()
    speeds = sorted(row.images_per_s for row in state.history)
    record = RunRecord(
        digest=trial.digest,
        experiment=trial.experiment.name,
        seed=trial.seed,
        fold=trial.fold,
        data=trial.data_digest,
        split=trial.split_digest,
        epochs=len(state.history),
        best_epoch=state.best_epoch,
        best_score=state.best_score,
        evaluated=trial.experiment.training.selection,
        accumulate=trial.experiment.training.accumulate,
        seconds=round(state.seconds, 2),
        images_per_s=speeds[len(speeds) // 2],
        peak_memory_mb=peak_memory_mb(compute),
        weights_sha256=sha256_file(trial.weights_path),
        history_sha256=sha256_file(trial.history_path),
        device=machine.device,
        device_name=machine.device_name,
        precision=machine.precision,
        threads=machine.threads,
        tf32=machine.tf32,
        mixed_compute=len({(row.device, row.precision, row.threads) for row in state.history}) > 1,
        mask_prior=state.mask_prior,
        encoder=state.encoder,
        versions={"mmran": __version__, "torch": torch.__version__, "python": platform.python_version()},
    )
    record.write(trial.record_path)


def reset_peak_memory(compute: Compute) -> None:
    """Let `peak_memory_mb` count from here, as far as the system can; a process may have trained before."""
    if compute.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(compute.device)
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb(compute: Compute) -> float:
    """Peak memory in MiB since `reset_peak_memory`: of tensors on a GPU, else of the whole process."""
    if compute.device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(compute.device) / 2**20, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10, 1)
