"""`mmran train` for a machine without GPUs: its trials lease them, write down which, and compute on the CPU.

Ray takes the number of GPUs on faith. Unpickling a trial imports this module, so that each worker has `run_leased` in
place of `run_trial`.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from mmran.training import run, trial
from mmran.training.run import run_trial
from mmran.training.trial import Trial, plan_trials


class LeasingTrial(Trial):
    """A trial whose workers import this module."""


def run_leased(found: Trial, *, gpu: bool, **options: Any) -> Path:
    """Write down the lease as Ray knows it, hold it until as many trials as expected have one, and train."""
    import ray

    context = ray.get_runtime_context()
    lease: dict[str, Any] = {
        "gpus": context.get_accelerator_ids()["GPU"],
        "share": context.get_assigned_resources().get("GPU", 0),
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        # How many GPUs the product asks the trial to compute on.
        "asked": int(gpu),
        "begin_ns": time.monotonic_ns(),
    }
    folder = found.work / "leases"
    folder.mkdir(exist_ok=True)
    (folder / f"{found.seed}.begun").touch()
    expected = int((found.work / "expected").read_text())
    end = time.monotonic() + 120
    while len(list(folder.glob("*.begun"))) < expected and time.monotonic() < end:
        time.sleep(0.02)
    trained = run_trial(found, gpu=False, **options)
    lease["end_ns"] = time.monotonic_ns()
    (folder / f"{found.seed}.json").write_text(json.dumps(lease))
    return trained


run.run_trial = run_leased


def main() -> int:
    """`mmran` with the arguments given."""
    from mmran.cli import main as mmran

    # cli imports it when it trains
    trial.plan_trials = lambda *arguments: [LeasingTrial(**vars(found)) for found in plan_trials(*arguments)]  # type: ignore[assignment]
    return mmran(sys.argv[1:])
