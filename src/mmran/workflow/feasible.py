"""Before the first job: can every experiment be trained?

Building the networks takes seconds, so an experiment that passed is remembered by its digest, which covers its values
and the code it depends on.
"""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from mmran.config.experiment import Experiment
from mmran.errors import UserError
from mmran.files import canonical_json
from mmran.training.scalars import require_writer


def check_trainable(experiments: Iterable[Experiment]) -> None:
    """Refuse experiments that cannot be trained; a separate process builds those that have not yet passed.

    Raises:
        UserError: names the first one, and the number of others.
    """
    if importlib.util.find_spec("torch") is None:
        return  # without torch here, the jobs' environment has it
    experiments = list(experiments)
    if any(experiment.training.tensorboard for experiment in experiments):
        require_writer()
    folder = _cache()
    unknown = {
        experiment.digest(): experiment for experiment in experiments if not (folder / experiment.digest()).is_file()
    }
    if not unknown:
        return
    texts = canonical_json([experiment.to_values() for experiment in unknown.values()])
    command = [sys.executable, "-m", "mmran.training.feasible"]
    answer = subprocess.run(command, input=texts, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        said = (answer.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise UserError(f"the networks cannot be built ({said}); run `{' '.join(command)} <<< []` to see why")
    # An external network may print when it is imported.
    found: dict[str, str] = json.loads(answer.stdout.strip().splitlines()[-1])
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        for digest, experiment in unknown.items():
            if experiment.name not in found:
                (folder / digest).touch()
    if found:
        first, *others = found.values()
        raise UserError(first + (f" (and {len(others)} more experiments cannot be trained)" if others else ""))


def _cache() -> Path:
    """Outside the results, where a dry run must not write."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  # Path's raises without a home
    return Path(base) / "mmran" / "trainable"
