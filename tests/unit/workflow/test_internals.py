"""Snakemake's view of files while another run rewrites them."""

import asyncio
import os
from pathlib import Path

import pytest
from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile

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
