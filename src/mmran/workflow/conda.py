"""conda: whether Snakemake can use the installed version, and what a job needs in an environment made by Snakemake."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from mmran.errors import UserError

# Snakemake's own limit.
OLDEST = "24.7.1"

_WITHOUT = "or omit --use-conda: the environment that `make setup` makes has the same versions"


def after_activation() -> str:
    """What a job's shell does first in its conda environment, as a prefix of Snakemake's.

    - Snakemake removes PYTHONPATH from such a job: restore it.
    - If an environment is already active, as `base` is after `conda init`, conda puts the job's in its place in
      PATH, which may be behind a virtual environment: put it first.
    - Packages in the user's home would take precedence over the environment's: exclude them.
    - Snakemake's own prefix, which this replaces, stops the shell at the first error.
    """
    path = shlex.quote(os.environ["PYTHONPATH"]).replace("{", "{{").replace("}", "}}")
    return f'set -euo pipefail; export PYTHONPATH={path} PYTHONNOUSERSITE=1 PATH="$CONDA_PREFIX/bin:$PATH"; '


def check_conda(environments: str | Path) -> None:
    """Check that Snakemake can make and activate environments with the installed conda.

    Args:
        environments: the folder that holds them.

    Raises:
        UserError: no conda, one that does not answer or is too old, or a folder where environments do not work.
    """
    program = shutil.which("conda")
    if program is None:
        raise UserError(
            f"--use-conda: no conda on PATH; conda {OLDEST} or newer is needed: install Miniforge, or "
            f"`conda activate base` where it is installed, {_WITHOUT}"
        )
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"\d+(\.\d+)+", answer.stdout)
    if answer.returncode != 0 or version is None:
        said = (answer.stderr.strip() or answer.stdout.strip() or "nothing").splitlines()[-1]
        raise UserError(f"--use-conda: {program} --version printed {said!r}, not its version; repair it, {_WITHOUT}")
    if _parts(version[0]) < _parts(OLDEST):
        raise UserError(
            f"--use-conda: {program} is conda {version[0]}; {OLDEST} or newer is needed: "
            f"`conda update -n base conda`, or install Miniforge and put it first on PATH, {_WITHOUT}"
        )
    folder = Path(environments).resolve()
    # Snakemake puts the folder's name between quotes into shell lines; Ray starts workers without quotes.
    if bad := re.search(r"[^\w@%+=:,./-]", str(folder)):
        raise UserError(
            f"--use-conda: {folder}: an environment does not work in a folder with {bad[0]!r} in its name; choose "
            f"another with --conda-prefix FOLDER, {_WITHOUT}"
        )


def _parts(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
