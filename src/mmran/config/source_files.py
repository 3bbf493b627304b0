"""The files of a source, each with its size and time: what tells an edited, added or replaced file."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmran.errors import UserError


def list_source(places: Iterable[str]) -> dict[str, dict[str, list[int]]]:
    """Every file of the folders and archives of a source.

    Returns:
        Place, as configured -> path below it ("." for an archive) -> size in bytes and modification time in ns.

    Raises:
        UserError: a place does not exist or may not be read.
    """
    return {place: dict(sorted(_files(Path(place)))) for place in places}


def _files(place: Path) -> Iterator[tuple[str, list[int]]]:
    if place.is_dir():
        yield from _walk(place, place, set())
        return
    try:
        found = place.stat()
    except OSError as error:
        raise UserError(
            f"config: source: {place} cannot be read ({error.strerror}); expected a folder of N.mat files or zips"
        ) from error
    yield ".", [found.st_size, found.st_mtime_ns]


def _walk(folder: Path, top: Path, seen: set[tuple[int, int]]) -> Iterator[tuple[str, list[int]]]:
    """Hidden files are left out; links are followed, each folder once."""
    try:
        status = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"config: source: {folder} cannot be read ({error.strerror})") from error
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(Path(entry.path), top, seen)
            continue
        try:
            found = entry.stat()
        except OSError:
            found = entry.stat(follow_symlinks=False)  # a dangling link
        yield Path(entry.path).relative_to(top).as_posix(), [found.st_size, found.st_mtime_ns]
