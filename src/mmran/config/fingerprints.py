"""How a file is recognized later: by its size, times, and SHA-256.

A file with the recorded size and times counts as unchanged. If only times differ, its content decides, so a copied or
touched file is the same file. An edit that keeps size and modification time is noticed, because no program can set the
change time.
"""

import os
import stat
from dataclasses import astuple, dataclass
from pathlib import Path

from mmran.files import sha256_file


@dataclass(frozen=True)
class Fingerprint:
    """The facts that identify one file.

    Attributes:
        size: in bytes.
        mtime_ns, ctime_ns: times of modification and of change, in ns.
        sha256: of its content, hexadecimal; "" if it was never read, or is not a regular file.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    sha256: str = ""

    @classmethod
    def of(cls, path: Path, found: os.stat_result | None = None, *, read: bool = True) -> "Fingerprint":
        """The fingerprint of a file as it is now.

        Args:
            path: the file.
            found: its status, if known.
            read: also compute the SHA-256.

        Raises:
            OSError, UserError: it is absent or not readable.
        """
        found = found or path.stat()
        # A pipe would block, and a dangling link has no content.
        content = sha256_file(path) if read and stat.S_ISREG(found.st_mode) else ""
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, content)

    @classmethod
    def from_values(cls, values: object) -> "Fingerprint":
        """Build from the list of `to_values`.

        Raises:
            TypeError: it is not such a list.
        """
        if not isinstance(values, list | tuple):
            raise TypeError(f"{values!r} is not a fingerprint")
        return cls(*values)

    def to_values(self) -> list[int | str]:
        """Its plain values, in order."""
        return list(astuple(self))

    def has_times_of(self, other: "Fingerprint") -> bool:
        """Whether size and times are equal, so that the content need not be read."""
        return astuple(self)[:3] == astuple(other)[:3]

    def is_content_of(self, path: Path) -> bool:
        """Whether a file with other times has this content; reads it if the size is equal.

        Raises:
            OSError, UserError: it is absent or not readable.
        """
        return bool(self.sha256) and path.stat().st_size == self.size and sha256_file(path) == self.sha256
