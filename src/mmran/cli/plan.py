"""`mmran plan`: what a configuration costs, before anything runs."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from mmran.cli.experiments import configured, run_arguments
from mmran.cli.verb import Verb
from mmran.errors import UserError

if TYPE_CHECKING:
    from mmran.config.configuration import Config
    from mmran.planning.train_jobs import TrainJob


def _arguments(parser: ArgumentParser) -> None:
    run_arguments(parser)
    parser.add_argument("--gpus", type=int, metavar="N", help="GPUs that trainings share (default: this machine's)")
    parser.add_argument(
        "--cores", type=int, metavar="N", help="cores that trainings on CPUs share (default: this machine's)"
    )
    parser.add_argument(
        "--measured",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="results folders of other runs whose speeds to use, such as a pilot of three epochs on the target machine",
    )
    parser.add_argument(
        "--tflops",
        type=float,
        metavar="X",
        help="rate of a GPU or CPU thread that estimates assume, in 10^12 operations per second at full width",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _run(arguments: Namespace) -> None:
    from mmran.machine import available_cpus, visible_gpus
    from mmran.planning.totals import totals

    _check(arguments)
    config = configured(arguments)
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
            remedy = "; to train on CPUs, set resources.gpus: 0 in the configuration" if name == "gpus" else ""
            raise UserError(f"--{name} {value}: expected more than 0{remedy}")
    for folder in arguments.measured:
        if not any(folder.glob("experiments/*/*/runs.json")):
            raise UserError(f"--measured {folder}: no finished training there; expected a results folder of mmran")


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
        "estimate the cost of a configuration: jobs, hours, memory, disk, date",
        "Print every training with its time and memory, and the totals. Nothing runs. Speeds are measurements if\n"
        "results of the same network and image size exist, and otherwise estimates, marked as such.\n\n"
        "reads:   the configuration, and the results if there are any\n"
        "writes:  nothing\n"
        "example: mmran plan --config config.yaml gpu.yaml --source /data/cheng --results results/cheng --gpus 4",
        _arguments,
        _run,
    ),
)
