"""Before the first job: experiments that cannot be trained are refused, those that passed are remembered."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from mmran.config.configuration import Config
from mmran.config.load import PAPER, load, overlay
from mmran.errors import UserError
from mmran.workflow.feasible import check_trainable


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def config(**entries: Any) -> Config:
    small = {"defaults": {"network": {"width": 0.0625}, "input": {"size": 32}}, "experiments": entries}
    return Config.checked(overlay(load([PAPER]), small))


@pytest.mark.slow
def test_what_passed_is_not_built_again_and_what_failed_is(monkeypatch: pytest.MonkeyPatch) -> None:
    found = config(good={}, bad={"network": {"attention": "x"}})
    good, bad = found.resolve("good"), found.resolve("bad")
    with pytest.raises(UserError, match=r"experiments\.bad: network option attention"):
        check_trainable([good, bad])

    def no_process(*arguments: object, **options: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "run", no_process)
    check_trainable([good])
    with pytest.raises(AssertionError):
        check_trainable([bad])


@pytest.mark.slow
def test_without_a_place_for_the_cache_the_check_still_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    check_trainable([config(good={}).resolve("good")])
