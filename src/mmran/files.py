"""Files that are whole or absent: write a temporary file in the same folder, fsync, rename."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmran.errors import UserError

_PARTIAL = ".partial"


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` when the block ends, or is removed if the block raises.

    Args:
        path: the final path; its folder is created.

    Raises:
        UserError: the folder is not writable, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_PARTIAL, dir=path.parent)
    except OSError as error:
        raise _not_writable(path, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        with _write_errors(path):
            yield temporary
            flush(temporary)
            # mkstemp creates private files; results are readable by everyone the umask allows.
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
            flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that replaces `path` when the block ends, or is removed if the block raises.

    Args:
        path: the final folder; its previous content is deleted.

    Raises:
        UserError: the parent is not writable, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=_PARTIAL, dir=path.parent))
    except OSError as error:
        raise _not_writable(path, error) from error
    try:
        with _write_errors(path):
            yield temporary
            for written in (*temporary.rglob("*"), temporary):
                flush(written)
            temporary.chmod(0o777 & ~_umask())
            if path.exists():
                shutil.rmtree(path)
            temporary.rename(path)
            flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """Turn a failed write into a UserError that names the final path; a missing file is left to the caller."""
    try:
        yield
    except OSError as error:
        if not error.strerror or isinstance(error, FileNotFoundError):
            raise
        # HDF5 appends pages of details to the text.
        reason = os.strerror(error.errno) if error.errno else " ".join(error.strerror.split())
        raise UserError(f"{path}: cannot be written ({reason})") from error


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def sweep_partial(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder; call it under the folder's lock."""
    for path in folder.glob(f".*{_PARTIAL}"):
        path.unlink(missing_ok=True)


def ensure_dir(folder: Path) -> Path:
    """Create a folder and its parents if they do not exist, and return the folder.

    Raises:
        UserError: it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(folder, error) from error
    return folder


@contextlib.contextmanager
def locked(path: Path, waiting: str) -> Iterator[None]:
    """Hold a lock file; another process that asks for it waits. The kernel releases the lock of a killed process.

    Args:
        path: the lock file; its folder is created.
        waiting: what to print on stderr if another process holds the lock.

    Raises:
        UserError: the file cannot be created.
    """
    ensure_dir(path.parent)
    try:
        file = path.open("w")
    except OSError as error:
        raise _not_writable(path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(waiting, file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name; copy it where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EEXIST):
            raise
        shutil.copy2(source, target)
        flush(target)


def flush(path: Path) -> None:
    """Flush a file's bytes, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_text_if_changed(path: Path | str, text: str) -> bool:
    """Write `text` unless the file already holds it; return whether it was written.

    A file whose modification time stays the same triggers no rerun.
    """
    path = Path(path)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    write_text(path, text)
    return True


def canonical_json(value: Any) -> str:
    """Canonical JSON text of a value: sorted keys, indented by two spaces, with a final newline; NaN raises."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path | str, value: Any) -> None:
    """Write a value as `canonical_json`, atomically."""
    write_text(path, canonical_json(value))


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing, not readable, not JSON, or holds NaN or Infinity.
    """
    return parse_json(read_text(path), path)


def read_text(path: Path | str) -> str:
    """Read a UTF-8 file.

    Raises:
        UserError: the file is missing, not readable or not UTF-8.
    """
    path = Path(path)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error}); {_REWRITE}") from error


def parse_json(text: str, path: Path | str) -> Any:
    """Parse the JSON text of a file.

    Args:
        text: content of the file.
        path: the file, for the message.

    Raises:
        UserError: the text is not JSON, or holds NaN or Infinity.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not a JSON value")

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a JSON file ({error}); {_REWRITE}") from error


_REWRITE = "delete it and rerun the step that writes it"


def sha256_text(text: str) -> str:
    """Hexadecimal SHA-256 of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file's bytes.

    Raises:
        UserError: the file is missing or not readable.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _not_writable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: cannot be written ({error.strerror}); choose another location or make it writable")
