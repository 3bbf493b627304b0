"""`mmran plan`: what a configuration will cost, before anything runs."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from mmran.cli.experiments import config_argument, configuration_files
from mmran.cli.verb import Verb
from mmran.errors import UserError

if TYPE_CHECKING:
    from mmran.config.configuration import Config
    from mmran.planning.train_jobs import TrainJob


def _arguments(parser: ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument("--results", type=Path, metavar="DIR", help="folder of results, where the command line set it")
    parser.add_argument("--source", nargs="+", metavar="DIR", help="slices, where the command line set them")
    parser.add_argument(
        "--gpus", type=int, metavar="N", help="GPUs that trainings share (default: those of this machine)"
    )
    parser.add_argument("--cores", type=int, metavar="N", help="cores, for trainings on CPUs (default: this machine's)")
    parser.add_argument(
        "--measured",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="results of other runs to take speeds from, such as one of three epochs on the machine in question",
    )
    parser.add_argument(
        "--tflops",
        type=float,
        metavar="X",
        help="10^12 operations a second that estimates assume of a GPU or CPU thread at full width",
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def _run(arguments: Namespace) -> None:
    from mmran.config.configuration import Config
    from mmran.config.load import load
    from mmran.machine import available_cpus, visible_gpus
    from mmran.planning.totals import totals

    _check(arguments)
    values = load(configuration_files(arguments))
    values |= {"results": str(arguments.results)} if arguments.results else {}
    values |= {"source": arguments.source} if arguments.source else {}
    config = Config.checked(values)
    trainings = _trainings(config, arguments)
    summary = totals(config, trainings, arguments.gpus or max(1, visible_gpus()), arguments.cores or available_cpus())
    if arguments.json:
        from mmran.files import canonical_json

        rows = [vars(one) | {"left": one.left, "device_hours": one.device_hours} for one in trainings]
        print(canonical_json({"trainings": rows, **vars(summary)}), end="")
    else:
        from mmran.planning.text import show

        show(config, trainings, summary, arguments.tflops)


def _check(arguments: Namespace) -> None:
    for name in ("gpus", "cores", "tflops"):
        value = getattr(arguments, name)
        if value is not None and not value > 0:
            remedy = "; what trains on CPUs has resources.gpus: 0 in the configuration" if name == "gpus" else ""
            raise UserError(f"--{name} {value}: expected more than 0{remedy}")
    for folder in arguments.measured:
        if not any(folder.glob("experiments/*/*/runs.json")):
            raise UserError(f"--measured {folder}: no finished training there; name a folder of results of mmran")


def _trainings(config: "Config", arguments: Namespace) -> "list[TrainJob]":
    from rich.console import Console
    from rich.progress import Progress

    from mmran.planning.train_jobs import plan

    n, console = len(config.experiments()) * len(config.protocols), Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("counting operations", total=n)
        folders = [config.results, *arguments.measured]
        return plan(config, folders, arguments.tflops, lambda name: bar.advance(task))


VERBS = (
    Verb(
        "plan",
        "say what a configuration will cost: jobs, hours, memory, disk, and when it would be done",
        "Nothing is run. Speeds are measured ones where results of the same network and size are at hand, and\n"
        "otherwise estimates that say so.\n\n"
        "  mmran plan --config config.yaml gpu.yaml --source /data/cheng --results results/cheng --gpus 4",
        _arguments,
        _run,
    ),
)
