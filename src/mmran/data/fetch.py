"""Download the published data set: MD5-checked, and continued where an earlier download stopped."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmran.errors import UserError
from mmran.files import ensure_dir

SERVER = "https://ndownloader.figshare.com/files"
ARTICLE = "https://doi.org/10.6084/m9.figshare.1512427"

OnProgress = Callable[[str, int, int | None], None]
"""Receives the file's name, the number of bytes so far, and the total if the server reports it."""

_CHUNK_BYTES = 1 << 16
_TIMEOUT_S = 60
_OK, _PARTIAL, _RANGE_REFUSED = 200, 206, 416


@dataclass(frozen=True)
class RemoteFile:
    """One file of the data set: its name, its number at figshare, and its MD5."""

    name: str
    number: int
    md5: str


CHENG = (
    RemoteFile("brainTumorDataPublic_1-766.zip", 3381290, "74b949ad33f042e6e103523091cd1428"),
    RemoteFile("brainTumorDataPublic_767-1532.zip", 3381296, "7e8a875500d2c8a346f270538e29890e"),
    RemoteFile("brainTumorDataPublic_1533-2298.zip", 3381293, "8227bf6080cb71f15a88be8d25c79ae7"),
    RemoteFile("brainTumorDataPublic_2299-3064.zip", 3381302, "b378a80d6174e5317d59eb28430c6652"),
    RemoteFile("cvind.mat", 7005344, "5ea82eb3212c9fcb84290ccf0beb486d"),
)
"""The archives and the folds of figshare article 1512427.

Source: figshare's record of version 8 (2024), as several public repositories quote it identically. This project
has not compared the digests with figshare itself yet.
"""


def fetch(
    file: RemoteFile, folder: Path, *, server: str = SERVER, on_progress: OnProgress = lambda *_: None
) -> tuple[Path, bool]:
    """Download a file unless the folder has it already.

    An interrupted download leaves `.NAME.partial`, which the next one continues. A file with another MD5 is replaced.

    Args:
        file: what to download.
        folder: receives it; created.
        server: address that file numbers are appended to.
        on_progress: called as bytes arrive.

    Returns:
        Its path, and whether it was downloaded now.

    Raises:
        UserError: no network, no such file, another MD5, or a full disk.
    """
    import pooch

    path = ensure_dir(folder) / file.name
    downloaded = False

    def download(url: str, temporary: str, _: object) -> None:
        nonlocal downloaded
        # Only a name is needed until the end: a killed process must not leave an empty file with a random one.
        Path(temporary).unlink()
        partial = folder / f".{file.name}.partial"
        _complete(url, partial, path, on_progress)
        found = pooch.file_hash(str(partial), alg="md5")
        if found != file.md5:
            partial.unlink()
            raise UserError(
                f"{path}: the download's MD5 is {found}, expected {file.md5}; run the command again, or download the "
                f"file from {ARTICLE}"
            )
        partial.replace(temporary)
        downloaded = True

    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(f"{server}/{file.number}", f"md5:{file.md5}", fname=file.name, path=folder, downloader=download)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); free some space or choose another folder, "
            "then run the command again: it continues"
        ) from error
    return path, downloaded


def _complete(url: str, partial: Path, path: Path, on_progress: OnProgress) -> None:
    """Download into `partial`, reconnecting as long as each connection delivers something."""
    import requests

    while True:
        before = partial.stat().st_size if partial.exists() else 0
        try:
            _receive(url, partial, before, path, on_progress)
            return
        except requests.RequestException as error:
            have = partial.stat().st_size if partial.exists() else 0
            if have <= before:
                raise UserError(
                    f"{path}: {url} cannot be reached ({_reason(error)}); {have} bytes are here; check the network, "
                    f"then run the command again, or download the file from {ARTICLE}"
                ) from error


def _receive(url: str, partial: Path, have: int, path: Path, on_progress: OnProgress) -> None:
    """Append what is missing; start over if the server cannot continue."""
    import requests

    # In a compressed transfer, a range would not count the bytes of the file.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as response:
        if response.status_code == _RANGE_REFUSED:
            if response.headers.get("Content-Range") != f"bytes */{have}":
                partial.unlink()
                _receive(url, partial, 0, path, on_progress)
            return
        if response.status_code not in (_OK, _PARTIAL):
            raise UserError(
                f"{path}: {url} answers {response.status_code} {response.reason}, expected the file; download it from "
                f"{ARTICLE} into {path.parent}, then run the command again to check it"
            )
        continues = response.status_code == _PARTIAL
        have = have if continues else 0
        length = response.headers.get("Content-Length")
        n_bytes = have + int(length) if length else None
        with partial.open("ab" if continues else "wb") as file:
            for chunk in response.iter_content(_CHUNK_BYTES):
                file.write(chunk)
                have += len(chunk)
                on_progress(path.name, have, n_bytes)


def _reason(error: Exception) -> str:
    """The innermost cause of a failed request, which is the readable one."""
    while isinstance(error.__context__, Exception):
        error = error.__context__
    return " ".join(str(error).split())
