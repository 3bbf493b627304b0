"""Where slices come from: folders and zip archives of `N.mat`, read without unpacking to disk."""

import contextlib
import os
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mmran.data.cheng import SliceError, slice_number
from mmran.errors import UserError

_ZIP_DAMAGE = (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError)


@dataclass(frozen=True)
class Entry:
    """One file of a source that has not been read yet.

    Attributes:
        file: its name for messages: a path, or `archive.zip/N.mat`.
        read: gives its bytes; raises SliceError. May be called from several threads.
    """

    file: str
    read: Callable[[], bytes]


@dataclass
class Source:
    """What a list of folders and archives holds.

    Attributes:
        entries: the files of every slice number, in the order of the numbers.
        cvind: the fold list, if there is one.
        rejects: files that cannot be slices, by name or because their archive is damaged.
    """

    entries: dict[int, list[Entry]] = field(default_factory=dict)
    cvind: Entry | None = None
    rejects: list[SliceError] = field(default_factory=list)


@contextlib.contextmanager
def open_source(paths: Sequence[Path | str]) -> Iterator[Source]:
    """List what the folders, archives and single `.mat` files hold; archives stay open for the block.

    Folders are searched with their subfolders, and archives in them are read too, so that the folder of a
    download serves as it came.

    Raises:
        UserError: a path does not exist or may not be read, or there is not one `N.mat`.
    """
    source = Source()
    found: dict[int, list[Entry]] = defaultdict(list)
    with contextlib.ExitStack() as archives:
        for path in (file for given in paths for file in _files(Path(given))):
            try:
                entries = _archive_entries(path, archives) if path.suffix == ".zip" else [_file_entry(path)]
            except SliceError as error:
                source.rejects.append(error)
                continue
            for entry in entries:
                name = PurePosixPath(entry.file).name
                number = slice_number(name)
                if number is not None:
                    found[number].append(entry)
                elif name == "cvind.mat":
                    source.cvind = source.cvind or entry
                else:
                    source.rejects.append(SliceError(entry.file, "its name is not a slice number such as 17.mat"))
        source.entries = dict(sorted(found.items()))
        if not source.entries and not source.rejects:
            places = ", ".join(map(str, paths))
            raise UserError(f"{places}: no slices, expected files such as 1.mat, or zip archives of them")
        yield source


def _files(path: Path) -> list[Path]:
    """The `.mat` and `.zip` files at or under a path, hidden ones left out."""
    try:
        if path.is_dir():
            walk = os.walk(path, onerror=_raise)
            files = sorted(Path(folder) / name for folder, _, names in walk for name in names)
            files = [file for file in files if file.suffix in (".mat", ".zip")]
            return [file for file in files if not _is_hidden(file.relative_to(path).as_posix())]
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
    except OSError as error:
        raise UserError(f"{error.filename or path}: cannot be read ({error.strerror})") from error
    if path.suffix not in (".mat", ".zip"):
        raise UserError(f"{path}: expected a folder, a .zip archive or a .mat file")
    return [path]


def _raise(error: OSError) -> None:
    # Without this, a folder that may not be listed is passed over in silence.
    raise error


def _is_hidden(name: str) -> bool:
    """Whether a file is one that macOS and editors leave beside the real one."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _file_entry(path: Path) -> Entry:
    def read() -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise SliceError(str(path), f"cannot be read ({error.strerror})") from error

    return Entry(path.as_posix(), read)


def _archive_entries(path: Path, archives: contextlib.ExitStack) -> list[Entry]:
    try:
        archive = archives.enter_context(zipfile.ZipFile(path))
    except OSError as error:
        raise SliceError(str(path), f"cannot be read ({error.strerror})") from error
    except _ZIP_DAMAGE as error:
        raise SliceError(str(path), f"is a truncated or damaged archive ({error})") from error
    names = [name for name in archive.namelist() if not _is_hidden(name)]
    if any(name.endswith(".zip") for name in names):
        raise SliceError(str(path), "holds further archives; unpack it and give the folder")
    return [_member_entry(archive, path, name) for name in names if name.endswith(".mat")]


def _member_entry(archive: zipfile.ZipFile, path: Path, name: str) -> Entry:
    file = f"{path.as_posix()}/{name}"

    def read() -> bytes:
        try:
            return archive.read(name)
        except OSError as error:
            raise SliceError(file, f"cannot be read ({error.strerror})") from error
        except _ZIP_DAMAGE as error:
            raise SliceError(file, f"is damaged inside its archive ({error})") from error

    return Entry(file, read)
