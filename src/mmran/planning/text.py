"""A plan as a person reads it: a line for each training, the totals, and what the numbers rest on."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from mmran.config.configuration import Config
from mmran.planning.slices import count_slices
from mmran.planning.speed import CPU_TFLOPS, GPU_TFLOPS
from mmran.planning.trainings import Training

_LINE = 118
_NAMED = 4
"""How many jobs a line names."""
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
"""Heading -> side to which it is aligned."""


def show(config: Config, trainings: Sequence[Training], summary: Mapping[str, Any], tflops: float | None) -> None:
    """Print a plan: a table with rules on a terminal, plain aligned text elsewhere.

    Args:
        config: the configuration.
        trainings: of `plan`.
        summary: of `totals`.
        tflops: as `plan` was given it.
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


def _row(one: Training) -> tuple[str, ...]:
    unit = "GPU-h" if one.gpus else "core-h"
    memory = f"{one.memory_mb} MB"
    if one.peak_memory_mb is not None:
        # On a GPU it is the GPU's memory that was measured, while memory_mb is the machine's.
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


_HOURS = {"gpu_hours": "GPU-hours", "core_hours": "core-hours"}
_PLACES = {"gpus": "GPUs", "cores": "cores"}


def _lines(config: Config, trainings: Sequence[Training], summary: Mapping[str, Any]) -> list[str]:
    """The totals, each with a word in front."""
    left, hours = [one for one in trainings if one.left], summary["finish_hours"]
    jobs = ", ".join(f"{n} {rule}" for rule, n in summary["jobs"].items())
    lines = [_line("jobs", jobs or "none: everything is there")]
    if left:
        spent = [f"{_three_digits(summary[key])} {name}" for key, name in _HOURS.items() if summary[key]]
        places = [f"{summary[key]} {name}" for key, name in _PLACES.items() if summary[key]]
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
    sizes = summary["disk_bytes"]
    parts = ", ".join(f"{name} {_size(n)}" for name, n in sizes.items())
    lines.append(_line("disk", f"up to {_size(sum(sizes.values()))} in {config.results}: {parts}"))
    return lines + _time_limits(left)


def _time_limits(left: Iterable[Training]) -> list[str]:
    """For each limit, the jobs that would need longer."""
    by_limit: dict[int, list[Training]] = {}
    for one in sorted(left, key=lambda one: one.job_hours, reverse=True):
        if one.job_hours * 60 > one.runtime_minutes:
            by_limit.setdefault(one.runtime_minutes, []).append(one)
    lines = []
    for minutes, late in by_limit.items():
        names = [f"{one.experiment} ({one.protocol}) {duration(one.job_hours)}" for one in late[:_NAMED]]
        more = f" and {len(late) - _NAMED} more" if len(late) > _NAMED else ""
        limit = f"resources.runtime_minutes is {minutes} ({duration(minutes / 60)}), and on Slurm jobs need longer: "
        retry = "; each retry goes on from the last epoch that is complete"
        lines.append(_line("time limit", limit + ", ".join(names) + more + retry))
    return lines


def _notes(config: Config, trainings: Sequence[Training], tflops: float | None) -> list[str]:
    """What the numbers rest on."""
    notes = []
    for protocol in config.protocols:
        slices = count_slices(config, protocol)
        folds = "1 fold" if slices.folds == 1 else f"{slices.folds} folds"
        notes.append(f"{protocol}: {slices.train} / {slices.val} / {slices.test} slices, {folds} ({slices.source})")
    if machines := sorted({one.where for one in trainings if one.basis == "measured"}):
        notes.append(
            "measured: time and memory of recorded trainings of the same network on images of the same size, on "
            + ", ".join(machines)
        )
    estimated = {one.gpus > 0 for one in trainings if one.basis == "estimate"}
    rates = [
        f"{tflops or assumed:g} x 10^12 a second of a {device}"
        for device, assumed, on_gpu in (("GPU", GPU_TFLOPS, True), ("CPU thread", CPU_TFLOPS, False))
        if on_gpu in estimated
    ]
    if rates:
        notes.append(
            f"estimate: operations of a training step at {' and '.join(rates)} (--tflops), an assumption, times the "
            "root of the network's width. They are those of convolutions and linear layers; where the rest has a large "
            "part, as in ResNet-50 and DenseNets or on small images, it takes several times as long. A pilot run of "
            "three epochs, given as --measured DIR, makes it a measurement"
        )
    if any(one.gpus and one.trials_per_gpu > 1 for one in trainings):
        notes.append("trainings that share a GPU slow one another down, which estimates leave out")
    notes.append("times are of training; conversion, predictions and tables come on top")
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
    """Hours as a person says them: seconds, minutes or hours."""
    if hours < 0.025:
        return f"{3600 * hours:.0f} s"
    return f"{60 * hours:.0f} min" if hours < 1.5 else f"{hours:.1f} h"
