import errno
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mmran.cli import main
from mmran.data import fetch as module
from mmran.data.fetch import CHENG, RemoteFile, fetch
from mmran.errors import UserError

CONTENT = bytes(range(256)) * 800
FILE = RemoteFile("slices.zip", 17, hashlib.md5(CONTENT).hexdigest())


@dataclass
class Server:
    address: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    status: int = 200
    cut_at: int | None = None
    """Bytes after which the first connection drops."""
    requested: list[str | None] = field(default_factory=list)
    """The Range header of each request."""


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            state.requested.append(wanted)
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and state.ranges else 0
            if state.status != 200 or self.path != "/files/17":
                self.send_error(state.status if state.status != 200 else 404)
                return
            if start >= len(state.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(state.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = state.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            cut, state.cut_at = state.cut_at, None
            self.wfile.write(body[:cut])

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{http.server_port}/files"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


def partial(folder: Path, content: bytes) -> Path:
    path = folder / ".slices.zip.partial"
    path.write_bytes(content)
    return path


def test_a_file_arrives_whole_and_nothing_else_is_left(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    path, downloaded = fetch(
        FILE, tmp_path / "new", server=server.address, on_progress=lambda *values: seen.append(values)
    )
    assert (path.read_bytes(), downloaded) == (CONTENT, True)
    assert [p.name for p in path.parent.iterdir()] == ["slices.zip"]
    assert seen[-1] == ("slices.zip", len(CONTENT), len(CONTENT))


def test_a_good_file_is_kept_without_a_request(server: Server, tmp_path: Path) -> None:
    (tmp_path / FILE.name).write_bytes(CONTENT)
    assert fetch(FILE, tmp_path, server=server.address) == (tmp_path / FILE.name, False)
    assert server.requested == []


def test_a_damaged_file_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / FILE.name).write_bytes(CONTENT[:-1])
    path, downloaded = fetch(FILE, tmp_path, server=server.address)
    assert (path.read_bytes(), downloaded) == (CONTENT, True)


def test_a_partial_file_continues_where_it_stopped(server: Server, tmp_path: Path) -> None:
    partial(tmp_path, CONTENT[:1000])
    path, _ = fetch(FILE, tmp_path, server=server.address)
    assert path.read_bytes() == CONTENT
    assert server.requested == ["bytes=1000-"]


def test_a_partial_file_starts_over_if_the_server_cannot_continue(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    partial(tmp_path, CONTENT[:1000])
    assert fetch(FILE, tmp_path, server=server.address)[0].read_bytes() == CONTENT


def test_a_complete_partial_file_needs_no_second_download(server: Server, tmp_path: Path) -> None:
    partial(tmp_path, CONTENT)
    assert fetch(FILE, tmp_path, server=server.address)[0].read_bytes() == CONTENT
    assert len(server.requested) == 1


def test_a_partial_file_longer_than_the_file_starts_over(server: Server, tmp_path: Path) -> None:
    partial(tmp_path, CONTENT + b"more")
    assert fetch(FILE, tmp_path, server=server.address)[0].read_bytes() == CONTENT


def test_a_dropped_connection_continues_by_itself(server: Server, tmp_path: Path) -> None:
    server.cut_at = 100_000
    assert fetch(FILE, tmp_path, server=server.address)[0].read_bytes() == CONTENT
    assert server.requested == [None, "bytes=65536-"]  # of whole chunks


def test_a_wrong_md5_names_file_digests_and_remedy_and_keeps_nothing(server: Server, tmp_path: Path) -> None:
    server.content = b"<html>log in</html>"
    found = hashlib.md5(server.content).hexdigest()
    with pytest.raises(UserError, match=rf"slices\.zip: the download's MD5 is {found}, expected {FILE.md5}; run"):
        fetch(FILE, tmp_path, server=server.address)
    assert list(tmp_path.iterdir()) == []


def test_an_answer_without_the_file_says_how_to_get_it(server: Server, tmp_path: Path) -> None:
    server.status = 403
    with pytest.raises(UserError, match=r"slices\.zip: .*answers 403 Forbidden.*figshare\.1512427"):
        fetch(FILE, tmp_path, server=server.address)


def test_no_network_is_one_line_and_keeps_what_is_there(tmp_path: Path) -> None:
    kept = partial(tmp_path, CONTENT[:1000])
    with pytest.raises(
        UserError, match=r"slices\.zip: .*cannot be reached .*1000 bytes are here; check the network"
    ) as e:
        fetch(FILE, tmp_path, server="http://127.0.0.1:1/files")
    assert "\n" not in str(e.value)
    assert kept.read_bytes() == CONTENT[:1000]


def test_a_full_disk_is_one_line_with_the_remedy(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match=r"slices\.zip: cannot be written \(No space left on device\); free some space"):
        fetch(FILE, tmp_path, server=server.address, on_progress=full)
    assert (tmp_path / ".slices.zip.partial").read_bytes() == CONTENT[:65536]  # continues from here


def test_the_verb_prints_a_line_for_each_file(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "CHENG", (FILE,))
    monkeypatch.setattr(module, "SERVER", server.address)
    assert main(["fetch", "cheng", str(tmp_path)]) == 0
    assert main(["fetch", "cheng", str(tmp_path)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "fetched, MD5 as published" in first
    assert "kept, MD5 as published" in second


def test_the_data_set_is_four_archives_and_the_folds() -> None:
    assert [file.name for file in CHENG][-1] == "cvind.mat"
    assert len({file.number for file in CHENG}) == len({file.md5 for file in CHENG}) == 5
    assert all(len(file.md5) == 32 for file in CHENG)
