"""Zip archives of slices, read without unpacking them to disk."""

import io
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from mmran.data.matlab import SliceError, refuse_large_file, refuse_special_file

_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(RuntimeError, NotImplementedError, EOFError, ValueError, LookupError, OverflowError),
)
_END_OF_ARCHIVE = b"PK\x05\x06"
_END_BYTES = 22


@dataclass(frozen=True, slots=True)
class MemberEntry:
    """One file in an archive, not read yet.

    Attributes:
        file: its name for messages: `archive.zip/N.mat`.
        archive: the open archive.
        info: its line in the archive's directory.
    """

    file: str
    archive: zipfile.ZipFile
    info: zipfile.ZipInfo

    def read(self) -> bytes:
        """Read its bytes; safe to call from several threads.

        Raises:
            SliceError: it is damaged, encrypted, or too large.
        """
        refuse_large_file(self.info.file_size, self.file)
        try:
            return self.archive.read(self.info)
        except OSError as error:
            raise SliceError(self.file, f"cannot be read ({error.strerror or error})") from error
        except _DAMAGE as error:
            raise SliceError(self.file, f"is damaged inside its archive ({error})") from error


def archive_members(path: str, stack: ExitStack) -> list[MemberEntry]:
    """The files in an archive, or in several archives that were joined into one file.

    Args:
        path: the archive.
        stack: keeps it open.

    Raises:
        SliceError: it cannot be read, is damaged, or has parts that belong to no archive.
    """
    try:
        refuse_special_file(Path(path).stat(), path)
        file = Path(path).open("rb")  # noqa: SIM115
        stack.enter_context(file)
        parts = [stack.enter_context(part) for part in _joined(file.fileno(), path)]
    except OSError as error:
        raise SliceError(path, f"cannot be read ({error.strerror})") from error
    except _DAMAGE as error:
        raise SliceError(path, f"is a truncated or damaged archive ({error})") from error
    return [
        MemberEntry(f"{path}/{info.filename}", archive, info)
        for archive in reversed(parts)
        for info in archive.infolist()
        if not info.is_dir()
    ]


def _joined(descriptor: int, path: str) -> Iterator[zipfile.ZipFile]:
    """Yield the archives in a file, the last one first.

    zipfile reads from the end of a file, so it sees only the last of several archives joined with `cat`. Whatever
    comes before an archive's first member is another archive, or an error.
    """
    end = os.fstat(descriptor).st_size
    while True:
        window = io.BufferedReader(_Window(descriptor, end))
        archive = zipfile.ZipFile(window)
        yield archive
        window.seek(max(0, end - _END_BYTES - len(archive.comment)))
        if window.read(4) != _END_OF_ARCHIVE:
            raise SliceError(path, "has bytes after the end of an archive: an incomplete part; download it again")
        end = min((info.header_offset for info in archive.infolist()), default=archive.start_dir)
        if end <= 0:
            return
        if not zipfile.is_zipfile(io.BufferedReader(_Window(descriptor, end))):
            raise SliceError(path, f"has {end} bytes before its first file that are not an archive; download it again")


class _Window(io.RawIOBase):
    """The first `size` bytes of a file, read independently of all other windows."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor, self._size, self._position = descriptor, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        n_bytes = max(0, min(len(buffer), self._size - self._position))
        data = os.pread(self._descriptor, n_bytes, self._position)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError(22, "Invalid argument")  # what zipfile expects from a file that is too short
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position
