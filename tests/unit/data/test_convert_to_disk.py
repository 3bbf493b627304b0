"""Conversion where files may not be read, or the disk is full or closed."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmran.data import store_writer
from mmran.data.cheng import write_slice
from mmran.data.convert import convert
from mmran.errors import UserError
from tests.unit.data.slices import left_behind, make_slice


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything: step down for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_tmp_path(tmp_path: Path) -> Path:
    """A temporary folder that another user may walk into and write to."""
    for parent in (tmp_path, *tmp_path.parents):
        if parent == Path("/tmp") or parent == Path("/"):
            break
        parent.chmod(parent.stat().st_mode | 0o077)
    return tmp_path


def test_a_file_that_may_not_be_read_is_named(folder: Path, output: Path, open_tmp_path: Path) -> None:
    (folder / "10.mat").chmod(0)
    with as_nobody(), pytest.raises(UserError, match=r"10\.mat: cannot be read \(Permission denied\)"):
        convert([folder], output)
    assert left_behind(output) == []


def test_a_folder_that_may_not_be_listed_is_named(folder: Path, output: Path, open_tmp_path: Path) -> None:
    (folder / "more").mkdir(mode=0)
    with as_nobody(), pytest.raises(UserError, match=r"more: cannot be read \(Permission denied\)"):
        convert([folder], output)


def test_a_place_that_may_not_be_written_is_named(folder: Path, open_tmp_path: Path) -> None:
    closed = open_tmp_path / "closed"
    closed.mkdir(mode=0o555)
    with as_nobody(), pytest.raises(UserError, match=r"cannot be written \(Permission denied\)"):
        convert([folder], closed / "slices.h5")


def test_an_output_under_a_file_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written \((Not a directory|File exists)\)"):
        convert([folder], tmp_path / "file" / "slices.h5")


def test_too_little_room_is_told_before_the_store_is_written(
    folder: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(store_writer.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(UserError, match=r"results: 0\.0 MB are free, the store takes 0\.0 MB; make room"):
        convert([folder], output)
    assert left_behind(output) == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "tiny"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("a full disk needs the right to mount one")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_while_slices_wait_leaves_nothing(tmp_path: Path, tiny_disk: Path) -> None:
    source = tmp_path / "large"
    source.mkdir()
    for number in range(1, 4):
        write_slice(source, make_slice(number, side=400))
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\)"):
        convert([source], tiny_disk / "slices.h5")
    assert left_behind(tiny_disk / "slices.h5") == []


def test_a_disk_that_fills_while_the_store_is_written_leaves_nothing(
    tmp_path: Path, tiny_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Waiting takes 160 x 160 x (1 + 1/8) = 29 kB a slice and the store 51 kB: four of both are 320 kB.
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(store_writer.shutil, "disk_usage", lambda _: usage)
    source = tmp_path / "large"
    source.mkdir()
    for number in range(1, 5):
        write_slice(source, make_slice(number, side=160))
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\)"):
        convert([source], tiny_disk / "slices.h5")
    assert left_behind(tiny_disk / "slices.h5") == []
