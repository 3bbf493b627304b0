"""The files of a source, each with its size and time: what tells an edited, added or replaced file."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmran.errors import UserError

Files = dict[str, dict[str, list[int]]]


def list_source(places: Iterable[str], recorded: Files) -> Files:
    """Every file of the folders and archives of a source.

    Args:
        places: as configured.
        recorded: what was listed when the slices were converted. It counts for a place that is absent, so that results
            are of use on a machine without their source; `absent` names such places.

    Returns:
        Place -> path below it ("." for an archive) -> size in bytes and modification time in ns.

    Raises:
        UserError: a place may not be read.
    """
    missing = set(absent(places))
    return {
        place: recorded.get(place, {}) if place in missing else dict(sorted(_files(Path(place)))) for place in places
    }


def absent(places: Iterable[str]) -> list[str]:
    """The places of a source that do not exist."""
    return [place for place in places if not Path(place).exists()]


def _files(place: Path) -> Iterator[tuple[str, list[int]]]:
    if place.is_dir():
        yield from _walk(place, place, set())
        return
    found = place.stat()
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
