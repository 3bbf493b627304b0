"""The files of a source, and which of them have changed since the slices were converted."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mmran.config.fingerprints import Fingerprint
from mmran.data.tables import named_files, table_of
from mmran.errors import UserError

Files = dict[str, dict[str, list[int]]]
"""Place -> path below it ("." for an archive) -> size in bytes, modification and change time in ns."""

Contents = dict[str, dict[str, Fingerprint]]
"""Place -> path below it -> what identifies the file."""


def list_source(places: Iterable[str], recorded: Files, contents: Contents) -> Files:
    """Every file of the folders and archives of a source.

    Args:
        places: as configured.
        recorded: what was listed when the slices were converted. It counts for an absent place, so that results can be
            used on a machine without their source (`absent` names such places), and for a file with unchanged content.
        contents: fingerprints of the files of `recorded`.

    Raises:
        UserError: a place or a file cannot be read.
    """
    missing = set(absent(places))
    return {
        place: recorded.get(place, {})
        if place in missing
        else dict(sorted(_listed(place, recorded.get(place, {}), contents.get(place, {}))))
        for place in places
    }


def read_contents(places: Iterable[str]) -> Contents:
    """The fingerprint of every file of a source; reads all of them.

    Raises:
        UserError: a place or a file cannot be read.
    """
    return {place: {name: Fingerprint.of(path, found) for path, name, found in _files(Path(place))} for place in places}


def refreshed(contents: Contents) -> Contents:
    """The same contents with the present times of the files; files whose content changed keep theirs."""
    fresh: Contents = {}
    for place, known in contents.items():
        fresh[place] = dict(known)
        for path, name, found in _files(Path(place)) if Path(place).exists() else ():
            now, before = Fingerprint.of(path, found, read=False), known.get(name)
            if before is not None and not now.has_times_of(before) and before.is_content_of(path):
                fresh[place][name] = Fingerprint(now.size, now.mtime_ns, now.ctime_ns, before.sha256)
    return fresh


def absent(places: Iterable[str]) -> list[str]:
    """The places of a source that do not exist."""
    return [place for place in places if not Path(place).exists()]


def _listed(
    place: str, recorded: Mapping[str, list[int]], contents: Mapping[str, Fingerprint]
) -> Iterator[tuple[str, list[int]]]:
    for path, name, found in _files(Path(place)):
        now, before, known = Fingerprint.of(path, found, read=False), recorded.get(name), contents.get(name)
        listed = [now.size, now.mtime_ns, now.ctime_ns]
        if before is None or known is None:
            same = before == listed[: len(before or ())]  # earlier versions listed no change time
        else:
            same = now.has_times_of(known) or known.is_content_of(path)
        yield name, before if before and same else listed


def _files(place: Path) -> Iterator[tuple[Path, str, os.stat_result]]:
    """Path, name below the place, and status of every file; includes a table's images and masks, wherever they are."""
    if place.is_dir():
        yield from _walk(place, place, set())
    else:
        yield place, ".", place.stat()
    if table := table_of(place):
        top = Path(os.path.normpath(place.absolute()))
        for path in dict.fromkeys(Path(os.path.normpath(path.absolute())) for path in named_files(table)):
            if path.exists() and not path.is_relative_to(top):
                yield path, os.path.relpath(path, table.parent), path.stat()


def _walk(folder: Path, top: Path, seen: set[tuple[int, int]]) -> Iterator[tuple[Path, str, os.stat_result]]:
    """Leaves out hidden files; follows links, visiting each folder once."""
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
        path = Path(entry.path)
        if entry.is_dir():
            yield from _walk(path, top, seen)
            continue
        try:
            found = entry.stat()
        except OSError:
            found = entry.stat(follow_symlinks=False)  # a dangling link
        yield path, path.relative_to(top).as_posix(), found
