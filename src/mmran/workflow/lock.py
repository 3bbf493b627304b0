"""Snakemake's lock of a working directory: removed if a Snakemake that `mmran run` started was killed.

Snakemake refuses to start until someone types `snakemake --unlock`, because it cannot know whether the other Snakemake
is still running. `mmran run` knows whether the one that it started is.
"""

import contextlib
import fcntl
import json
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO


@contextlib.contextmanager
def released_if_killed(command: Sequence[str]) -> Iterator[None]:
    """Run a command within the context: first remove the locks of an earlier run that was killed, at the end its own.

    Locks of other Snakemakes stay: those that existed before the command, and all locks while any Snakemake runs in
    the directory.

    Args:
        command: program and arguments; nothing happens unless it is Snakemake.
    """
    folder = _working_directory(command)
    if folder is None or not folder.is_dir():
        yield
        return
    try:
        (folder / ".snakemake").mkdir(exist_ok=True)
        record = (folder / ".snakemake" / "mmran-run.json").open("a+")
    except OSError:  # a directory that Snakemake will complain about
        yield
        return
    with record:
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another `mmran run` is working here
            yield
            return
        _release(record, folder)
        _write(record, {"host": socket.gethostname(), "before": _locks(folder)})
        try:
            yield
        finally:
            _release(record, folder)


def _release(record: TextIO, folder: Path) -> None:
    """Remove the locks that appeared since the record was written, unless a process may hold them; clear the record."""
    record.seek(0)
    try:
        values = json.loads(record.read())
        host, before = str(values["host"]), set(values["before"])
    except (ValueError, KeyError, TypeError):
        return
    found = [name for name in _locks(folder) if name not in before]
    if found and host == socket.gethostname() and not _snakemake_alive(folder):
        for name in found:
            (folder / ".snakemake" / "locks" / name).unlink(missing_ok=True)
        print(f"{folder}: unlocked; the Snakemake that held it was killed", file=sys.stderr)
    _write(record, None)


def _write(record: TextIO, values: object) -> None:
    record.seek(0)
    record.truncate()
    if values is not None:
        record.write(json.dumps(values))
    record.flush()


def _locks(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / ".snakemake" / "locks").glob("*.lock"))


def _working_directory(command: Sequence[str]) -> Path | None:
    """The directory in which a command runs Snakemake; None if it is another program."""
    if not any(Path(part).name == "snakemake" for part in command[:3]):
        return None
    folder = "."
    for part, following in zip(command, [*command[1:], ""], strict=True):
        if part in ("--directory", "-d"):
            folder = following
        elif part.startswith("--directory="):
            folder = part.partition("=")[2]
    return Path(folder).resolve()


def _snakemake_alive(folder: Path) -> bool:
    """Whether a Snakemake runs in a directory."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            is_snakemake = any(Path(word).name == "snakemake" for word in words[:3])
            if is_snakemake and (process / "cwd").readlink() == folder:
                return True
    return False
