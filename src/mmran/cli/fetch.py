"""The verb fetch: download the published data set."""

import contextlib
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mmran.cli.verb import Verb

if TYPE_CHECKING:
    from mmran.data.fetch import OnProgress

_BYTES_PER_MB = 1e6


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("dataset", choices=["cheng"], help="the data set; cheng is the paper's")
    parser.add_argument("folder", type=Path, metavar="DIR", help="receives the files; give it to convert, or as source")


@contextlib.contextmanager
def _shown() -> Iterator["OnProgress"]:
    """Show each file's size, speed, and time left on stderr."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def show(name: str, n_bytes: int, n_all: int | None) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=n_all)
            bar.update(tasks[name], completed=n_bytes, total=n_all)

        yield show


def _fetch(arguments: Namespace) -> None:
    from mmran.data.fetch import CHENG, SERVER, fetch

    for file in CHENG:
        with _shown() as show:
            path, downloaded = fetch(file, arguments.folder, server=SERVER, on_progress=show)
        megabytes = path.stat().st_size / _BYTES_PER_MB
        print(f"{path}: {megabytes:.1f} MB, {'fetched' if downloaded else 'kept'}, MD5 as published", flush=True)


VERBS = (
    Verb(
        "fetch",
        "download the published data set",
        "Downloads the four archives and cvind.mat from figshare (880 MB, CC BY 4.0) and checks their\n"
        "MD5. Keeps complete files, and continues interrupted downloads.\n\n"
        "  mmran fetch cheng /data/cheng",
        _arguments,
        _fetch,
    ),
)
