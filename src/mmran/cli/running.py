"""`mmran run`: a command beside a Ray head that its trainings share."""

import difflib
import sys
from argparse import REMAINDER, ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from mmran.cli.numbers import at_least_one, not_negative
from mmran.cli.verb import Verb
from mmran.errors import UserError

_DEFAULT = ("snakemake", "--cores", "all")


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--cpus", type=at_least_one, metavar="N", help="CPUs that trainings lease (default: all that this process has)"
    )
    parser.add_argument("--gpus", type=not_negative, metavar="N", help="GPUs that trainings lease (default: all)")
    parser.add_argument("command", nargs=REMAINDER, metavar="-- COMMAND ...", help="default: snakemake --cores all")


def _run(arguments: Namespace) -> None:
    from mmran.machine import available_cpus, visible_gpus
    from mmran.tune.beside import run_beside_head
    from mmran.workflow.lock import released_if_killed

    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    command = command or list(_DEFAULT)
    _check_configuration_files(command)
    cpus = arguments.cpus or available_cpus()
    gpus = visible_gpus() if arguments.gpus is None else arguments.gpus
    with released_if_killed(command):
        code = run_beside_head(command, cpus, gpus)
    sys.exit(code)


def _check_configuration_files(command: Sequence[str]) -> None:
    """Refuse a missing file of Snakemake's --configfile, whose own message does not name the nearest one."""
    if not any(Path(part).name == "snakemake" for part in command[:3]):
        return
    for i, part in enumerate(command):
        if part not in ("--configfile", "--configfiles"):
            continue
        for name in command[i + 1 :]:
            if name.startswith("-"):
                break
            check_file(name, part)


def check_file(name: str, option: str) -> None:
    """Refuse a file that does not exist.

    Raises:
        UserError: suggests the nearest name in its folder.
    """
    path = Path(name)
    if path.exists():
        return
    beside = [str(path.parent / other.name) for other in path.parent.glob(f"*{path.suffix}")]
    near = difflib.get_close_matches(name, beside, 1)
    raise UserError(f"{option} {name}: no such file" + (f"; did you mean {near[0]}?" if near else ""))


VERBS = (
    Verb(
        "run",
        "run a command beside a Ray head that all its trainings share",
        "Start a Ray head on this machine, run a command, and stop the head when the command ends or is interrupted.\n"
        "All trainings that the command starts lease their CPUs and GPUs from that head, so that trainings\n"
        "never overload a GPU. A lock left by a killed Snakemake of an earlier run is removed.\n\n"
        "reads:   nothing itself\n"
        "writes:  what the command writes\n"
        "example: mmran run -- snakemake --cores all --configfile workflow/overlays/demo.yaml",
        _arguments,
        _run,
    ),
)
