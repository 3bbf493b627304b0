"""The specifications of a results folder belong to the runs in progress."""

import fcntl
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from mmran.errors import UserError
from mmran.files import write_text_if_changed

# Kept for the life of the process: closing a file releases its lock.
_HELD: dict[Path, TextIO] = {}


def hold_specs(results: Path, texts: Mapping[str, str]) -> None:
    """Write the specifications of a run, remove stale ones, and keep them unchanged until this process ends.

    Snakemake locks single files, so it lets two runs share a folder if their files differ. This lock
    lets them share it if their specifications are the same.

    Args:
        results: the folder of results.
        texts: path below `specs` -> text.

    Raises:
        UserError: a run with other specifications is in progress, or the folder cannot be written.
    """
    folder = results / "specs"
    lock = results / ".work" / "specs.lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = _HELD.setdefault(lock.resolve(), lock.open("a"))
    except OSError as error:
        raise UserError(f"{lock}: cannot be written ({error.strerror}); choose another folder of results") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(file, fcntl.LOCK_SH)
        if differing := [name for name, text in texts.items() if _read(folder / name) != text]:
            raise UserError(
                f"{results}: a run with another configuration or other code is in progress (specs/{differing[0]} "
                "differs); wait until it ends, or use another folder of results"
            ) from None
        return
    for name, text in texts.items():
        write_text_if_changed(folder / name, text)
    for path in (*folder.rglob("*.json"), *folder.rglob("*.csv")):
        if path.relative_to(folder).as_posix() not in texts:
            path.unlink()
    fcntl.flock(file, fcntl.LOCK_SH)


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
