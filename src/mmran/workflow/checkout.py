"""Make the jobs of a run use the package and the Python of this checkout."""

import os
import sys
from pathlib import Path


def use_in_jobs(source: str) -> None:
    """Put a source folder on the module path of later processes, and this Python on their search path.

    The package need not be installed in a job's environment, and without conda a job's `python` is the one that runs
    Snakemake, whether or not its environment is activated.

    Args:
        source: the folder that holds the package.
    """
    os.environ["PYTHONPATH"] = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
