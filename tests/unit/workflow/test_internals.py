"""Snakemake's view of files while another run rewrites them."""

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile
from snakemake_interface_storage_plugins.exceptions import FileOrDirectoryNotFoundError

from mmran.workflow.internals import tolerate_vanishing_files


def time_of(path: Path) -> float:
    return float(asyncio.run(IOFile(str(path)).mtime_uncached()).local())


def test_a_removed_file_has_a_time_until_the_run_is_alone(tmp_path: Path) -> None:
    present, removed = tmp_path / "present", tmp_path / "removed"
    present.write_text("")
    restore = tolerate_vanishing_files()
    try:
        assert time_of(removed) == 0
        assert time_of(present) == present.stat().st_mtime
    finally:
        restore()
    with pytest.raises(WorkflowError, match="removed although it existed"):
        time_of(removed)


def seen(path: Path) -> IOFile:
    """A file that Snakemake saw a moment ago, and still takes for present."""
    file = IOFile(str(path))

    async def exists_local() -> bool:
        return True

    file.exists_local = exists_local
    file.rule = SimpleNamespace(workflow=SimpleNamespace(iocache=SimpleNamespace(active=False)))
    return file


def test_a_removed_file_is_not_protected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    removed, closed = seen(tmp_path / "removed"), seen(tmp_path / "closed")
    (tmp_path / "closed").write_text("")
    restore = tolerate_vanishing_files()
    try:
        assert not asyncio.run(removed.protected())
        with monkeypatch.context() as patch:
            # Root may write everything.
            patch.setattr(os, "access", lambda path, mode: False)
            assert asyncio.run(closed.protected())
    finally:
        restore()
    assert asyncio.run(removed.protected())


def test_a_removed_file_is_not_compared_with_what_it_was(tmp_path: Path) -> None:
    removed, present = seen(tmp_path / "removed"), seen(tmp_path / "present")
    (tmp_path / "present").write_text("")
    restore = tolerate_vanishing_files()
    try:
        assert not asyncio.run(removed.is_checksum_eligible(1000))
        assert asyncio.run(present.is_checksum_eligible(1000))
    finally:
        restore()
    with pytest.raises(FileOrDirectoryNotFoundError):
        asyncio.run(removed.is_checksum_eligible(1000))


def test_a_link_to_nothing_is_still_an_error(tmp_path: Path) -> None:
    """It was not removed: no run rewrites it, and its time will never be there."""
    (tmp_path / "link").symlink_to("nowhere")
    restore = tolerate_vanishing_files()
    try:
        with pytest.raises(WorkflowError):
            time_of(tmp_path / "link")
    finally:
        restore()


def test_a_place_that_may_not_be_read_is_still_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object, **options: object) -> os.stat_result:
        raise PermissionError

    restore = tolerate_vanishing_files()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", forbidden)
            with pytest.raises(WorkflowError, match="missing read permissions"):
                time_of(tmp_path / "hidden")
    finally:
        restore()
