"""The text of a plan: one line per `train` job, the totals, and the basis of the numbers."""

import textwrap
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from mmran.config.configuration import Config
from mmran.planning.slices import count_slices
from mmran.planning.speed import CPU_TFLOPS, GPU_TFLOPS
from mmran.planning.totals import Totals
from mmran.planning.train_jobs import TrainJob

_LINE = 118
_NAMED = 4
"""Jobs that a line names."""
_COLUMNS = {
    "experiment": "left",
    "protocol": "left",
    "trainings": "right",
    "done": "right",
    "epochs": "right",
    "images/s": "right",
    "": "left",
    "one takes": "right",
    "left": "right",
    "memory": "right",
}
"""Heading -> alignment."""


def show(config: Config, trainings: Sequence[TrainJob], summary: Totals, tflops: float | None) -> None:
    """Print a plan: a table with borders on a terminal, aligned text elsewhere.

    Args:
        config: the configuration.
        trainings: of `plan`.
        summary: of `totals`.
        tflops: as given to `plan`.
    """
    from rich.console import Console
    from rich.table import Table
    from tabulate import tabulate

    console = Console()
    rows = [_row(one) for one in trainings]
    if console.is_terminal:
        table = Table()
        for heading, side in _COLUMNS.items():
            table.add_column(heading, justify="left" if side == "left" else "right", no_wrap=side == "left")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    else:
        print(tabulate(rows, list(_COLUMNS), "simple", colalign=list(_COLUMNS.values()), disable_numparse=True))
    print("", *_lines(config, trainings, summary), "", *_notes(config, trainings, tflops), sep="\n")


def _row(one: TrainJob) -> tuple[str, ...]:
    unit = "GPU-h" if one.gpus else "core-h"
    memory = f"{one.memory_mb} MB"
    if one.peak_memory_mb is not None:
        # On a GPU, the measurement is GPU memory, but memory_mb is the machine's.
        memory = f"{memory}, GPU {one.peak_memory_mb:.0f}" if one.gpus else f"{one.peak_memory_mb:.0f} of {memory}"
    return (
        one.experiment,
        one.protocol,
        str(one.trials),
        str(one.finished),
        str(one.epochs),
        _three_digits(one.images_per_s),
        one.basis,
        duration(one.hours),
        f"{_three_digits(one.device_hours)} {unit}" if one.left else "",
        memory,
    )


def _lines(config: Config, trainings: Sequence[TrainJob], summary: Totals) -> list[str]:
    """The totals, one line each."""
    left, hours = [one for one in trainings if one.left], summary.finish_hours
    jobs = ", ".join(f"{n} {rule}" for rule, n in summary.jobs.items())
    lines = [_line("jobs", jobs or "none: everything is up to date")]
    if left:
        hours_of = {"GPU-hours": summary.gpu_hours, "core-hours": summary.core_hours}
        spent = [f"{_three_digits(value)} {name}" for name, value in hours_of.items() if value]
        places = [f"{n} {name}" for name, n in {"GPUs": summary.gpus, "cores": summary.cores}.items() if n]
        end = datetime.now() + timedelta(hours=hours)
        longest = max(one.hours for one in left)
        lines += [
            _line("to spend", f"{' and '.join(spent)} for {sum(one.left for one in left)} trainings"),
            _line(
                "done",
                f"in {duration(hours)} on {' and '.join(places)}, about {end:%a %d %b %Y %H:%M}; "
                f"not before the longest training, which takes {duration(longest)}",
            ),
        ]
    sizes = summary.disk_bytes
    parts = ", ".join(f"{name} {_size(n)}" for name, n in sizes.items())
    lines.append(_line("disk", f"up to {_size(sum(sizes.values()))} in {config.results}: {parts}"))
    return lines + _time_limits(left)


def _time_limits(left: Iterable[TrainJob]) -> list[str]:
    """One line per time limit, with the jobs that need longer."""
    by_limit: dict[int, list[TrainJob]] = {}
    for one in sorted(left, key=lambda one: one.job_hours, reverse=True):
        if one.job_hours * 60 > one.runtime_minutes:
            by_limit.setdefault(one.runtime_minutes, []).append(one)
    lines = []
    for minutes, late in by_limit.items():
        names = [f"{one.experiment} ({one.protocol}) {duration(one.job_hours)}" for one in late[:_NAMED]]
        more = f" and {len(late) - _NAMED} more" if len(late) > _NAMED else ""
        limit = (
            f"resources.runtime_minutes is {minutes} ({duration(minutes / 60)}), but on Slurm these jobs need longer: "
        )
        retry = "; each retry continues from the last checkpoint"
        lines.append(_line("time limit", limit + ", ".join(names) + more + retry))
    return lines


def _notes(config: Config, trainings: Sequence[TrainJob], tflops: float | None) -> list[str]:
    """The basis of the numbers."""
    notes = []
    for protocol in config.protocols:
        slices = count_slices(config, protocol)
        folds = "1 fold" if slices.folds == 1 else f"{slices.folds} folds"
        notes.append(f"{protocol}: {slices.train} / {slices.val} / {slices.test} slices, {folds} ({slices.source})")
    if machines := sorted({one.where for one in trainings if one.basis == "measured"}):
        notes.append(
            "measured: time and memory of finished trainings of the same network at the same image size, on "
            + ", ".join(machines)
        )
    estimated = {one.gpus > 0 for one in trainings if one.basis == "estimate"}
    rates = [
        f"{tflops or assumed:g} x 10^12 per second of a {device}"
        for device, assumed, on_gpu in (("GPU", GPU_TFLOPS, True), ("CPU thread", CPU_TFLOPS, False))
        if on_gpu in estimated
    ]
    if rates:
        notes.append(
            f"estimate: operations of a training step at an assumed {' and '.join(rates)} (--tflops), times the square "
            "root of the network's width. Only convolutions and linear layers count; networks and sizes where the rest "
            "dominates (ResNet-50, DenseNets, small images) take several times as long. A pilot run of three epochs, "
            "given as --measured DIR, replaces the estimate by a measurement"
        )
    if any(one.gpus and one.trials_per_gpu > 1 for one in trainings):
        notes.append("trainings that share a GPU slow each other down; estimates ignore that")
    notes.append("times cover training; conversion, prediction and tables are extra")
    return [textwrap.fill(note, _LINE, subsequent_indent="  ", break_on_hyphens=False) for note in notes]


def _line(word: str, text: str) -> str:
    return textwrap.fill(
        f"{word:12}{text}", _LINE, subsequent_indent=" " * 12, break_on_hyphens=False, break_long_words=False
    )


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _size(n_bytes: float) -> str:
    unit, divisor = ("MB", 1e6) if n_bytes < 1e9 else ("GB", 1e9)
    return f"{_three_digits(n_bytes / divisor)} {unit}"


def duration(hours: float) -> str:
    """Hours as text, in seconds, minutes or hours."""
    if hours < 0.025:
        return f"{3600 * hours:.0f} s"
    return f"{60 * hours:.0f} min" if hours < 1.5 else f"{hours:.1f} h"
