"""Where slices come from: folders and zip archives of `N.mat`. Every skipped file is reported."""

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mmran.data.archives import MemberEntry, archive_members
from mmran.data.cheng import FOLDS_FILE, slice_number
from mmran.data.matlab import SliceError, file_bytes
from mmran.errors import UserError

_OTHER_ARCHIVES = (".rar", ".7z", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a folder, not read yet; `file` is its path."""

    file: str

    def read(self) -> bytes:
        """Read its bytes; safe to call from several threads.

        Raises:
            SliceError: it cannot be read.
        """
        return file_bytes(self.file)


Entry = FileEntry | MemberEntry


@dataclass
class Source:
    """What a list of folders and archives holds.

    Attributes:
        entries: the files of every slice number, in the order of the numbers.
        cvinds: every file called `cvind.mat`.
        rejects: files that should be slices or archives of slices and cannot be.
        ignored: files of other kinds, and folders, that are not read.
    """

    entries: dict[int, list[Entry]] = field(default_factory=dict)
    cvinds: list[Entry] = field(default_factory=list)
    rejects: list[SliceError] = field(default_factory=list)
    ignored: list[SliceError] = field(default_factory=list)


@contextlib.contextmanager
def open_source(paths: Sequence[Path | str]) -> Iterator[Source]:
    """List what folders, archives and single `.mat` files hold; archives stay open for the block.

    Subfolders and links are followed, and archives in folders are read too, so the folder of a download works
    as it is. Suffixes may be in upper case.

    Raises:
        UserError: a path does not exist, or no `N.mat` is found.
    """
    with ExitStack() as archives:
        listing = _Listing(archives)
        for path in paths:
            listing.add(os.fspath(Path(path)))
        source = listing.source
        source.entries = dict(sorted(listing.found.items()))
        if not source.entries and not source.rejects:
            places = ", ".join(map(str, paths))
            others = f"; {len(source.ignored)} other files, such as {source.ignored[0].file}" if source.ignored else ""
            expected = "files such as 1.mat, zip archives of them, or slices.csv"
            raise UserError(f"{places}: no slices, expected {expected}{others}")
        yield source


class _Listing:
    """Sorts files by what they are."""

    def __init__(self, archives: ExitStack) -> None:
        self.source = Source()
        self.found: dict[int, list[Entry]] = defaultdict(list)
        self._archives = archives
        self._folders: set[tuple[int, int]] = set()

    def add(self, path: str) -> None:
        """List a path that the user names."""
        if Path(path).is_dir():
            self._add_folder(path)
        elif not os.path.lexists(path):
            raise UserError(f"{path}: no such file or folder")
        elif not path.lower().endswith((".mat", ".zip")):
            raise UserError(f"{path}: expected a folder, a .zip archive, a .mat file, or a table (.csv)")
        else:
            self._add_file(path)

    def _add_folder(self, top: str) -> None:
        folders = [top]
        while folders:
            folder = folders.pop()
            try:
                found = Path(folder).stat()
                if (found.st_dev, found.st_ino) in self._folders:
                    self._ignore(folder, "is a link to a folder that is read already")
                    continue
                self._folders.add((found.st_dev, found.st_ino))
                with os.scandir(folder) as scan:
                    entries = sorted(((entry.name, _is_folder(entry)) for entry in scan), reverse=True)
            except OSError as error:
                self._reject(folder, f"cannot be read ({error.strerror})")
                continue
            folders += [f"{folder}/{name}" for name, is_dir in entries if is_dir and self._wanted(folder, name)]
            for name, is_dir in reversed(entries):
                if not is_dir and self._wanted(folder, name):
                    self._add_file(f"{folder}/{name}")

    def _wanted(self, folder: str, name: str) -> bool:
        """Whether to look at a file or folder; hidden ones are reported, except those that macOS leaves behind."""
        if _is_litter(name):
            return False
        if name.startswith("."):
            self._ignore(f"{folder}/{name}", "is hidden")
            return False
        return True

    def _add_file(self, path: str) -> None:
        if not path.lower().endswith(".zip"):
            self._add_entry(FileEntry(path))
            return
        try:
            members = archive_members(path, self._archives)
        except SliceError as error:
            self.source.rejects.append(error)
            return
        for entry in members:
            parts = PurePosixPath(entry.info.filename).parts
            if any(_is_litter(part) for part in parts):
                continue
            if any(part.startswith(".") for part in parts):
                self._ignore(entry.file, "is hidden")
            else:
                self._add_entry(entry)

    def _add_entry(self, entry: Entry) -> None:
        name = entry.file.rpartition("/")[2]
        lower = name.lower()
        number = slice_number(name)
        if number is not None:
            self.found[number].append(entry)
        elif lower == FOLDS_FILE:
            self.source.cvinds.append(entry)
        elif lower.endswith(".mat"):
            self._reject(entry.file, "its name is not a slice number such as 17.mat")
        elif lower.endswith(".zip"):
            self.source.rejects.append(
                SliceError(entry.file, "is an archive in an archive; unpack the outer one and give the folder")
            )
        elif lower.endswith(_OTHER_ARCHIVES):
            self._reject(entry.file, "is not a .zip archive; unpack it")
        else:
            self._ignore(entry.file, "is neither a .mat file nor a .zip archive")

    def _reject(self, file: str, reason: str) -> None:
        self.source.rejects.append(SliceError(file, reason))

    def _ignore(self, file: str, reason: str) -> None:
        self.source.ignored.append(SliceError(file, reason))


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_litter(name: str) -> bool:
    """Whether macOS leaves a file of this name beside the real ones; it holds no slice."""
    return name.startswith("._") or name in ("__MACOSX", ".DS_Store")
