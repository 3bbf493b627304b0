"""Before the first job: can every experiment be trained, and every custom metric be measured?

Building the networks takes seconds, so what passed is remembered by its digest, which covers its values and the code it
depends on.
"""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from mmran.config.experiment import Experiment
from mmran.errors import UserError
from mmran.files import canonical_json, sha256_text
from mmran.metrics.custom import CustomMetrics, custom_values
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
    unknown = {
        experiment.digest(): experiment for experiment in experiments if not (_cache() / experiment.digest()).is_file()
    }
    if not unknown:
        return
    texts = canonical_json([experiment.to_values() for experiment in unknown.values()])
    found = _obstacles("mmran.training.feasible", texts, "the networks cannot be built", "[]")
    _remember(digest for digest, experiment in unknown.items() if experiment.name not in found)
    if found:
        first, *others = found.values()
        raise UserError(first + (f" (and {len(others)} more experiments cannot be trained)" if others else ""))


def check_measurable(custom: CustomMetrics, code: Mapping[str, str]) -> None:
    """Refuse custom metrics whose functions cannot be imported, or fail on small masks.

    Args:
        custom: the metrics.
        code: digests of the modules behind them.

    Raises:
        UserError: names the first one, and the number of others.
    """
    if not custom or importlib.util.find_spec("torch") is None:
        return  # as in `check_trainable`: they may import what only the jobs' environment has
    values = custom_values(custom)
    digest = sha256_text(canonical_json({"metrics": values, "code": code}))
    if (_cache() / digest).is_file():
        return
    texts = canonical_json(values)
    found = _obstacles("mmran.evaluation.custom_metrics", texts, "the metrics cannot be tried", "{}")
    if found:
        first, *others = found.values()
        raise UserError(first + (f" (and {len(others)} more metrics cannot be used)" if others else ""))
    _remember([digest])


def _obstacles(module: str, texts: str, failed: str, nothing: str) -> dict[str, str]:
    """What a module, run in another process, prints about the specifications on its stdin: name -> the obstacle.

    Args:
        module: reads JSON, prints JSON.
        texts: its input.
        failed: what is said if it fails.
        nothing: an input without specifications, to try by hand.

    Raises:
        UserError: it fails.
    """
    command = [sys.executable, "-m", module]
    answer = subprocess.run(command, input=texts, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        said = (answer.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise UserError(f"{failed} ({said}); run `{' '.join(command)} <<< {nothing}` to see why")
    # Code from outside may print when it is imported.
    found: dict[str, str] = json.loads(answer.stdout.strip().splitlines()[-1])
    return found


def _remember(digests: Iterable[str]) -> None:
    with contextlib.suppress(OSError):
        _cache().mkdir(parents=True, exist_ok=True)
        for digest in digests:
            (_cache() / digest).touch()


def _cache() -> Path:
    """Outside the results, where a dry run must not write."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  # Path's raises without a home
    return Path(base) / "mmran" / "trainable"
