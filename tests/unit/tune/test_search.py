"""The search for a fixed weight: draws, records, report."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from mmran.config.configuration import Config
from mmran.config.experiment import ScheduleSpec
from mmran.config.load import load, overlay
from mmran.config.search import SearchSpec
from mmran.errors import UserError
from mmran.files import write_json
from mmran.report.search import read_found, table, write_report
from mmran.training.record import RunRecord, write_runs
from mmran.tune.search import SearchRecord, SearchTrial, plan_search, proposals
from tests.unit.training.trials import experiment
from tests.workflow.conftest import ROOT

SPACE = {
    "alpha": {"low": 0.2, "high": 0.8},
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "batch_size": [5, 10],
}


def search(trials: int = 8, space: dict[str, Any] | None = None, **changes: Any) -> SearchSpec:
    return SearchSpec(experiment(**changes), trials, 3, SPACE if space is None else space, 2, 2)


def test_draws_lie_in_the_space_and_spread_over_it() -> None:
    drawn = proposals(search(64))
    alphas = [e.schedule.alpha for e in drawn]
    rates = [e.training.learning_rate for e in drawn]
    assert {e.schedule.name for e in drawn} == {"fixed"}
    assert min(alphas) >= 0.2
    assert max(alphas) <= 0.8
    # A quarter of 64 in each quarter of the range, give or take what a Halton sequence may.
    assert all(14 <= sum(0.2 + 0.15 * q <= a < 0.35 + 0.15 * q for a in alphas) <= 18 for q in range(4))
    # On a logarithmic scale half of the rates lie below the geometric mean of the ends.
    assert abs(sum(rate < 1e-3 for rate in rates) - 32) <= 3
    assert {e.training.batch_size for e in drawn} == {5, 10}


def test_a_longer_search_begins_with_the_trials_of_a_shorter_one() -> None:
    assert proposals(search(12))[:8] == proposals(search(8))


def test_what_is_not_searched_stays_as_configured() -> None:
    (proposal,) = proposals(search(1, {"alpha": [0.5]}, training={"learning_rate": 0.002}))
    assert proposal.schedule == ScheduleSpec("fixed", 0.5)
    assert (proposal.training.learning_rate, proposal.training.batch_size) == (0.002, 10)


def test_a_network_of_one_task_has_nothing_to_weigh(tiny: Path, tmp_path: Path) -> None:
    single = search(network={"name": "resnet-50", "attention": None})
    with pytest.raises(UserError, match=r"search\.experiment: tiny is for classification only"):
        plan_search(single, tiny / "data" / "slices.h5", tiny / "splits" / "paper.csv", tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"experiment": "dynamics"}, "search.experiment: no experiment 'dynamics'; did you mean 'dynamic'?"),
        ({"space": {"alpha": {"low": 0.9, "high": 0.1}}}, "search.space.alpha: low 0.9 is not below high 0.1"),
        ({"space": {"alpha": [0.5, 5]}}, "search.space.alpha: 5 is not a weight; expected 0 to 1"),
        ({"space": {"rate": [1]}}, "search.space: unknown key 'rate'"),
        ({"trials": 0}, "search.trials: 0 is less than the minimum of 1"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        Config.checked(overlay(load([ROOT / "config.yaml"]), {"search": changes}))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_specification_reads_back_and_knows_no_resources(tmp_path: Path) -> None:
    config = Config.checked(overlay(load([ROOT / "config.yaml"]), {"search": {"resources": {"gpus": 4}}}))
    (tmp_path / "search.json").write_text(config.search.to_json())
    read = SearchSpec.read(tmp_path / "search.json")
    assert read.experiment == config.resolve("dynamic")
    assert read.trials == 30
    assert "gpus" not in (tmp_path / "search.json").read_text()
    assert config.search_resources() == config.resources("dynamic") | {"gpus": 4}


def test_another_file_is_no_search(tmp_path: Path) -> None:
    write_json(tmp_path / "spec.json", {"experiment": {"name": "x"}})
    with pytest.raises(UserError, match="not the specification of a search"):
        SearchSpec.read(tmp_path / "spec.json")


MACHINE: dict[str, Any] = {"device": "cpu", "device_name": "a processor", "precision": "float32", "threads": 2}


def run_record(**changes: Any) -> RunRecord:
    values = {"experiment": "dynamic", "fold": 0, "data": "", "split": "", "epochs": 10, "best_epoch": 1}
    values |= {"best_score": 0.5, "evaluated": "best", "accumulate": 1, "seconds": 900.0, "images_per_s": 1.0}
    values |= {"peak_memory_mb": 1.0, "weights_sha256": "", "history_sha256": ""}
    return RunRecord(**values | MACHINE | changes)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A search of three trials, and a training of ten epochs that it is held against."""
    searched, trained = tmp_path / "search", tmp_path / "trained"
    lines = [
        ("search-000", "complete", 0.25, 10, 0.5, 0.6, 0.55, 1800.0),
        ("search-001", "stopped early", 0.75, 4, 0.1, 0.3, 0.2, 720.0),
        ("search-002", "failed", 0.5, 0, math.nan, math.nan, math.nan, 0.0),
    ]
    keys = ("trial", "status", "alpha", "epochs", "val_dice", "val_acc", "score", "seconds")
    trials = pd.DataFrame(lines, columns=keys).assign(learning_rate=0.002, batch_size=5)
    searched.mkdir()
    trials.to_csv(searched / "trials.csv", index=False)
    best = SearchTrial("search-000", "complete", 0.25, 0.002, 5, 10, 8, 0.5, 0.6, 0.55, 1800.0, "t")
    counts = {"complete": 1, "stopped early": 1, "failed": 1}
    record = SearchRecord("dynamic", 7, 0, "d", SPACE, counts, 14, 2520.0, best, [], 1, **MACHINE)
    record.write(searched / "search.json")
    other = run_record(digest="other", seed=8)
    write_runs(trained / "runs.json", [other, run_record(digest="d", seed=7)])
    rows = [{"seed": seed, "fold": 0, "val_dice": d, "val_acc": a, "score": (d + a) / 2} for seed, d, a in SCORES]
    pd.DataFrame(rows).to_csv(trained / "history.csv", index=False)
    (trained / "spec.json").write_text(experiment().to_json())
    return searched, trained


# The other seed's better epoch is not what the search is held against.
SCORES = [(8, 0.9, 0.9), (7, 0.4, 0.5), (7, 0.52, 0.55), (7, 0.45, 0.58)]


def test_the_report_has_the_best_of_both_and_what_each_took(folders: tuple[Path, Path]) -> None:
    found = table(read_found(*folders))
    dynamic, searched = ([cell.text for cell in row] for row in found.rows)
    # 900 s on two threads are half a core-hour; 2520 s are 1.4.
    assert dynamic == ["Dynamic weights", "-", "0.001", "10", "52.00", "55.00", "53.50", "1", "10", "0.5"]
    assert searched == ["Best fixed weight found", "0.25", "0.002", "5", "50.00", "60.00", "55.00", "3", "14", "1.4"]
    assert [column.title for column in found.columns][-1] == "core-hours"
    best = [[cell.best for cell in row] for row in found.rows]
    assert [i for i, is_best in enumerate(best[0]) if is_best] == [4, 9]
    assert [i for i, is_best in enumerate(best[1]) if is_best] == [5, 6]
    assert "1 complete, 1 stopped early, 1 failed" in found.notes[0]


def test_trials_that_share_a_gpu_count_as_parts_of_it(folders: tuple[Path, Path]) -> None:
    searched, trained = folders
    for path in (searched / "search.json", trained / "runs.json"):
        path.write_text(
            path.read_text().replace('"cpu"', '"cuda"').replace('"trials_per_gpu": 1', '"trials_per_gpu": 4')
        )
    found = table(read_found(searched, trained))
    assert [row[-1].text for row in found.rows] == ["0.25", "0.175"]
    assert found.columns[-1].title == "GPU-hours"
    assert "4 trials of the search shared a GPU" in found.notes[1]


def test_a_search_of_other_slices_or_options_is_refused(folders: tuple[Path, Path]) -> None:
    searched, trained = folders
    path = searched / "search.json"
    path.write_text(path.read_text().replace('"digest": "d"', '"digest": "e"'))
    with pytest.raises(UserError, match="no training of dynamic on the data and split, with the options and code"):
        read_found(searched, trained)


@pytest.mark.slow
def test_table_and_picture_are_written_and_equal_results_give_equal_files(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    first = write_report(*folders, tmp_path / "a" / "search.csv")
    assert [path.suffix for path in first] == [".csv", ".md", ".tex", ".html", ".svg", ".png", ".pdf", ".txt"]
    again = write_report(*folders, tmp_path / "b" / "search.csv")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert Image.open(first[5]).size[0] == pytest.approx(7.16 * 300, abs=1)
    assert "1 failed and is not shown" in first[7].read_text()


def test_another_file_is_no_record_of_a_search(tmp_path: Path) -> None:
    write_json(tmp_path / "search.json", {"experiment": "dynamic"})
    with pytest.raises(UserError, match="not the record of a search"):
        SearchRecord.read(tmp_path / "search.json")
