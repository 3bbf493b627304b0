"""Put the results of a `train` job where its rule declares them."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from mmran.files import atomic_path, ensure_dir, flush, link_or_copy, locked, sweep_partial, write_text
from mmran.training.record import RunRecord, write_runs
from mmran.training.trial import RESULTS, Trial


def publish(trials: Sequence[Trial], spec: str, output: Path) -> None:
    """Write trials/NAME/, history.csv, spec.json and, last, runs.json, which names the trials.

    The files of a trial are hard links where the file system has them, so that weights are stored once. A second
    `train` that publishes to the same folder waits.

    Args:
        trials: finished trials of one experiment.
        spec: text of the specification that they were trained from.
        output: folder of the experiment and protocol.

    Raises:
        UserError: the folder is not writable, or a trial is not finished.
    """
    with locked(output / ".lock", f"{output}: another process is publishing here; waiting for it"):
        sweep_partial(output)
        (output / "runs.json").unlink(missing_ok=True)
        _link_trials(trials, output)
        _join_histories(trials, output / "history.csv")
        write_text(output / "spec.json", spec)
        write_runs(output / "runs.json", [RunRecord.read(trial.record_path) for trial in trials])


def _link_trials(trials: Sequence[Trial], output: Path) -> None:
    folder = output / "trials"
    shutil.rmtree(folder, ignore_errors=True)
    for trial in trials:
        target = ensure_dir(folder / trial.name)
        for name in RESULTS:
            link_or_copy(trial.folder / name, target / name)
        flush(target)
    flush(folder)


def _join_histories(trials: Sequence[Trial], path: Path) -> None:
    import pandas as pd

    frames = []
    for trial in trials:
        frame = pd.read_csv(trial.history_path)
        frame.insert(0, "seed", trial.seed)
        frame.insert(1, "fold", trial.fold)
        frames.append(frame)
    with atomic_path(path) as temporary:
        pd.concat(frames).to_csv(temporary, index=False)
