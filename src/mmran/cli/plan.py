"""`mmran plan`: what a configuration will cost, before anything runs."""

from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmran.cli.experiments import config_argument
from mmran.cli.verb import Verb

if TYPE_CHECKING:
    from mmran.config import Config
    from mmran.planning import Training


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
        help="results of other runs to take speeds from, such as one of two epochs on the machine in question",
    )
    parser.add_argument(
        "--tflops",
        type=float,
        metavar="X",
        help="10^12 operations a second that estimates assume of a GPU or CPU thread",
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def _run(arguments: Namespace) -> None:
    import os

    from rich.progress import Progress

    from mmran.config import Config, load
    from mmran.planning import plan

    values = load(arguments.config)
    values |= {"results": str(arguments.results)} if arguments.results else {}
    values |= {"source": arguments.source} if arguments.source else {}
    config = Config.checked(values)
    n = len(config.experiments()) * len(config.protocols)
    with Progress(transient=True) as bar:
        task = bar.add_task("networks", total=n)
        folders = [config.results, *arguments.measured]
        trainings = plan(config, folders, arguments.tflops, lambda name: bar.update(task, advance=1, description=name))
    cores = arguments.cores or len(os.sched_getaffinity(0))
    summary = _summary(config, trainings, arguments.gpus or _gpus_here(), cores)
    if arguments.json:
        from mmran.files import canonical_json

        print(canonical_json({"trainings": [vars(one) for one in trainings], **summary}), end="")
    else:
        print(_text(config, trainings, summary, arguments.tflops))


def _gpus_here() -> int:
    import torch

    return max(1, torch.cuda.device_count())


def _summary(config: "Config", trainings: Sequence["Training"], gpus: int, cores: int) -> dict[str, Any]:
    from mmran.planning import disk_bytes, finish_hours

    on_gpu, on_cpu = [one for one in trainings if one.gpus], [one for one in trainings if not one.gpus]
    at_a_time = gpus * max((one.trials_per_gpu for one in on_gpu), default=1) if on_gpu else cores
    hours = max(finish_hours(on_gpu, gpus, 1), finish_hours(on_cpu, 1, cores))
    return {
        "jobs": _jobs(config, trainings),
        "gpus": gpus if on_gpu else 0,
        "cores": cores if on_cpu else 0,
        "gpu_hours": sum(one.device_hours for one in on_gpu),
        "core_hours": sum(one.device_hours for one in on_cpu),
        "finish_hours": hours,
        "disk_bytes": disk_bytes(config, trainings, min(at_a_time, sum(one.left for one in trainings))),
    }


def _jobs(config: "Config", trainings: Sequence["Training"]) -> dict[str, int]:
    """Rule -> jobs that follow from trainings which are still to do, or to be measured."""
    undone = {(one.experiment, one.protocol) for one in trainings if not one.done}
    jobs = Counter[str]()
    jobs["train"] = sum(one.left > 0 for one in trainings)
    jobs["predict"] = jobs["evaluate"] = len(undone)
    for kind, names in (("table", config.tables), ("figure", config.figures)):
        for name in names:
            shown = config.trained_for(name)
            jobs[kind] += sum(any((one, protocol) in undone for one in shown) for protocol in config.protocols)
    results = config.results
    files = {"convert": "data/slices.h5", "verify": "data/audit.json"}
    jobs.update({rule: 1 for rule, path in files.items() if not (results / path).is_file()})
    jobs["split"] += sum(not (results / "splits" / f"{name}.csv").is_file() for name in config.protocols)
    return {rule: n for rule, n in jobs.items() if n}


def _text(config: "Config", trainings: Sequence["Training"], summary: Mapping[str, Any], tflops: float | None) -> str:
    from tabulate import tabulate

    headers = ("experiment", "protocol", "trainings", "done", "epochs", "one takes", "", "memory", "of")
    rows = [
        (
            one.experiment,
            one.protocol,
            one.trials,
            one.finished,
            one.epochs,
            _duration(one.hours),
            one.basis,
            "" if one.peak_memory_mb is None else f"{one.peak_memory_mb:.0f}",
            f"{one.memory_mb} MB",
        )
        for one in trainings
    ]
    aligned = ("left", "left", *["right"] * 4, "left", "right", "right")
    table = tabulate(rows, headers, tablefmt="simple", colalign=aligned, disable_numparse=True)
    return "\n".join([table, "", *_lines(config, trainings, summary), "", *_notes(config, trainings, tflops)])


_HOURS = {"gpu_hours": "GPU-hours", "core_hours": "core-hours"}
_PLACES = {"gpus": "GPUs", "cores": "cores"}


def _lines(config: "Config", trainings: Sequence["Training"], summary: Mapping[str, Any]) -> list[str]:
    from datetime import datetime, timedelta

    left, hours = sum(one.left for one in trainings), summary["finish_hours"]
    jobs = ", ".join(f"{n} {rule}" for rule, n in summary["jobs"].items())
    lines = [f"jobs        {jobs}" if jobs else "jobs        none: everything is there"]
    if left:
        spent = [f"{summary[key]:.3g} {name}" for key, name in _HOURS.items() if summary[key]]
        places = [f"{summary[key]} {name}" for key, name in _PLACES.items() if summary[key]]
        end = datetime.now() + timedelta(hours=hours)
        longest = max(one.hours for one in trainings if one.left)
        lines.append(f"to spend    {' and '.join(spent)} for {left} trainings")
        lines.append(
            f"done        in {_duration(hours)} on {' and '.join(places)}, about {end:%a %d %b %Y %H:%M}; "
            f"the longest training takes {_duration(longest)}"
        )
    sizes = summary["disk_bytes"]
    parts = ", ".join(f"{name} {_size(n)}" for name, n in sizes.items())
    lines.append(f"disk        at most {_size(sum(sizes.values()))} in {config.results}: {parts}")
    for one in trainings:
        if one.left and one.hours * 60 > one.runtime_minutes:
            lines.append(
                f"time limit  resources.runtime_minutes of {one.experiment} is {one.runtime_minutes}, a training takes "
                f"{one.hours * 60:.0f}: on Slurm each retry goes on from the last epoch"
            )
    return lines


def _notes(config: "Config", trainings: Sequence["Training"], tflops: float | None) -> list[str]:
    from mmran.planning import CPU_TFLOPS, GPU_TFLOPS, count_slices

    notes = []
    for protocol in config.protocols:
        slices = count_slices(config, protocol)
        folds = "1 fold" if slices.folds == 1 else f"{slices.folds} folds"
        notes.append(f"{protocol}: {slices.train} / {slices.val} / {slices.test} slices, {folds} ({slices.source})")
    if machines := sorted({one.where for one in trainings if one.basis == "measured"}):
        notes.append(f"measured: images/s and MB of trainings of the same network and size, on {', '.join(machines)}")
    if any(one.basis == "estimate" for one in trainings):
        gpu = any(one.gpus for one in trainings if one.basis == "estimate")
        rate = tflops or (GPU_TFLOPS if gpu else CPU_TFLOPS)
        notes.append(
            f"estimate: operations of a training step at {rate:g} x 10^12 a second of a "
            f"{'GPU' if gpu else 'CPU thread'} (--tflops), an assumption; two epochs of a "
            "pilot run, given as --measured DIR, make it a measurement"
        )
    if any(one.gpus and one.trials_per_gpu > 1 for one in trainings):
        notes.append("trainings that share a GPU slow one another down, which the times leave out")
    notes.append("times are of training; conversion, predictions and tables take minutes beside it")
    return notes


def _size(n_bytes: float) -> str:
    unit, divisor = ("MB", 1e6) if n_bytes < 1e9 else ("GB", 1e9)
    return f"{n_bytes / divisor:.3g} {unit}"


def _duration(hours: float) -> str:
    if hours < 0.025:
        return f"{3600 * hours:.0f} s"
    return f"{60 * hours:.0f} min" if hours < 1.5 else f"{hours:.1f} h"


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
