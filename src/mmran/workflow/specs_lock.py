"""The specifications of a folder of results belong to the runs that are under way."""

import fcntl
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from mmran.errors import UserError
from mmran.files import write_text_if_changed

# Kept for the life of the process: closing a file gives its lock back.
_HELD: dict[Path, TextIO] = {}


def hold_specs(results: Path, texts: Mapping[str, str]) -> None:
    """Write the specifications of a run, remove those of others, and keep them as they are until this process ends.

    Snakemake locks the files of a run, so that two runs of one folder can go side by side where their files differ.
    They can do so here where they have the same specifications.

    Args:
        results: the folder of results.
        texts: path below `specs` -> text.

    Raises:
        UserError: another run is under way with other specifications, or the folder cannot be written.
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
                f"{results}: a run is under way with another configuration or other code (specs/{differing[0]} "
                "differs); wait until it ends, or use another folder of results"
            ) from None
        return
    for name, text in texts.items():
        write_text_if_changed(folder / name, text)
    for path in folder.rglob("*.json"):
        if path.relative_to(folder).as_posix() not in texts:
            path.unlink()
    fcntl.flock(file, fcntl.LOCK_SH)


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
