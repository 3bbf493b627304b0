"""Drivers start fast: what they must not import before there is work that needs it."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("mmran.cli", ("numpy", "pandas", "torch", "ray", "snakemake", "yaml")),
        ("mmran.training.publish, mmran.training.trial, mmran.tune.runner", ("torch", "ray", "snakemake", "scipy")),
        ("mmran.tune.beside, mmran.workflow.lock, mmran.machine", ("numpy", "torch", "ray", "snakemake")),
    ],
)
def test_a_driver_does_not_import_what_its_work_may_not_need(modules: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys, {modules}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
