"""What configuration a run has, and who may write its specifications."""

import multiprocessing
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmran.config.configuration import Config
from mmran.errors import UserError
from mmran.workflow.specs_lock import hold_specs
from mmran.workflow.start import Run, _as_written, find_config


def test_a_snakemake_that_lacks_what_is_wrapped_is_refused_in_one_line() -> None:
    run = Run(SimpleNamespace(_build_dag=None), Config({"results": "results"}))
    with pytest.raises(UserError, match=r"Snakemake \S+ has no SimpleNamespace\._onstart.*envs/requirements\.lock"):
        run.rerun_by_records()


def test_the_configuration_is_that_of_the_folder_else_the_papers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Path(find_config()).resolve() == Path(__file__).resolve().parents[3] / "config.yaml"
    Path("config").mkdir()
    Path("config/config.yaml").write_text("")
    assert find_config() == "config/config.yaml"
    Path("config.yaml").write_text("")
    assert find_config() == "config.yaml"


def test_a_run_writes_its_specifications_and_removes_those_of_others(tmp_path: Path) -> None:
    hold_specs(tmp_path, {"experiments/a.json": "1", "jobs/train/a/paper.json": "2"})
    before = (tmp_path / "specs/experiments/a.json").stat().st_mtime_ns
    hold_specs(tmp_path, {"experiments/a.json": "1"})
    assert [path.name for path in (tmp_path / "specs").rglob("*.json")] == ["a.json"]
    assert (tmp_path / "specs/experiments/a.json").stat().st_mtime_ns == before


def hold(results: Path, texts: dict[str, str], held: Event, end: Event) -> None:
    hold_specs(results, texts)
    held.set()
    end.wait(60)


@pytest.fixture
def under_way(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Another run, in another process, with these specifications."""
    texts = {"experiments/a.json": "1", "tables/t.json": "2"}
    context = multiprocessing.get_context("fork")
    held, end = context.Event(), context.Event()
    process = context.Process(target=hold, args=(tmp_path, texts, held, end))
    process.start()
    assert held.wait(60)
    yield texts
    end.set()
    process.join()


def test_a_run_beside_another_is_refused_if_its_specifications_differ(
    tmp_path: Path, under_way: dict[str, str]
) -> None:
    with pytest.raises(
        UserError, match=r"another configuration or other code is in progress \(specs/experiments/a.json differs\)"
    ):
        hold_specs(tmp_path, under_way | {"experiments/a.json": "3"})
    assert (tmp_path / "specs/experiments/a.json").read_text() == "1"


def test_a_run_beside_another_may_know_less_and_removes_nothing(tmp_path: Path, under_way: dict[str, str]) -> None:
    hold_specs(tmp_path, {"experiments/a.json": "1"})
    assert (tmp_path / "specs/tables/t.json").read_text() == under_way["tables/t.json"]


def test_a_key_twice_in_a_file_that_snakemake_merged_is_refused(tmp_path: Path) -> None:
    (tmp_path / "twice.yaml").write_text("results: a\nresults: b\n")
    with pytest.raises(UserError, match=r"twice\.yaml, line 2: duplicate key 'results'"):
        _as_written(SimpleNamespace(configfiles=[tmp_path / "twice.yaml"]), {"results": "b"})


def test_values_of_the_command_line_are_as_they_were_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["snakemake", "--config", "results=123_456", "data={keep_going: true}"])
    found = _as_written(SimpleNamespace(configfiles=[]), {"results": 123456, "data": {"keep_going": "true"}})
    assert found == {"results": "123_456", "data": {"keep_going": True}}
