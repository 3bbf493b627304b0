"""Which jobs run again: told by records beside the results, not by times."""

import dataclasses
import os
import shutil
from pathlib import Path

import pytest

from mmran.config.fingerprints import Fingerprint
from mmran.config.jobs import plan_jobs
from mmran.config.made import Made, job_json, job_path, recorded
from mmran.config.reruns import judge, why
from mmran.errors import UserError
from mmran.files import write_json
from tests.unit.config.finished import SMALL, finish, small


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def of(*experiments: str) -> set[str]:
    return {f"{stage}/{name}/paper" for stage in ("train", "predict", "evaluate") for name in experiments}


def would_run(**changes: object) -> set[str]:
    """All but the comparisons and the overview, which follow everything that is shown."""
    jobs = judge(small(**changes)).would_run()
    return {name for name in jobs if not name.startswith(("nearest_slice/", "compare/")) and name != "overview"}


def test_before_a_run_everything_would_run_each_job_after_what_it_reads() -> None:
    jobs = judge(small()).would_run()
    # phantom, convert, verify, split; 3 stages of 3 experiments; networks; 3 tables; a figure; statistics, overview.
    assert len(jobs) == 4 + 9 + 1 + 3 + 1 + 3
    assert (
        jobs.index("convert")
        < jobs.index("split/paper")
        < jobs.index("train/se/paper")
        < jobs.index("predict/se/paper")
    )


def test_after_a_run_there_is_nothing_to_do() -> None:
    finish(small())
    assert judge(small()).counts() == {}


def test_an_edited_option_runs_its_experiment_and_what_shows_it() -> None:
    finish(small())
    edit = {"experiments": {"se": {"training": {"epochs": 2}}}}
    assert would_run(**edit) == of("se") | {"networks/table3", "table/paper/table2", "table/paper/table3"}
    assert "train/se/paper: training.epochs: 240 -> 2" in why(small(**edit), "se")
    assert why(small(**edit), "dynamic") == []


def test_an_edit_taken_back_runs_nothing() -> None:
    finish(small())
    assert would_run(defaults={"loss": {"dice": "printed"}}) > of("se", "dynamic", "plain")
    assert would_run() == set()


def test_times_say_nothing() -> None:
    finish(small())
    for i, path in enumerate(sorted(Path("results").rglob("*"))):
        os.utime(path, (i % 3 * 1e9, i % 3 * 1e9))
    assert would_run() == set()
    os.utime("results/records/train/se/paper.json", (2e9, 2e9))
    edit = {"experiments": {"se": {"training": {"epochs": 2}}}}
    assert of("se") <= would_run(**edit)


def test_a_copy_of_the_results_under_another_name_is_as_good() -> None:
    finish(small())
    shutil.copytree("results", "elsewhere/copy", copy_function=shutil.copy)
    assert would_run(results="elsewhere/copy") == set()


def test_the_protocol_of_a_table_is_part_of_it() -> None:
    finish(small(evaluate_under=["patient", "paper"]))
    assert would_run(evaluate_under=["paper", "patient"]) == set()
    shutil.move("results/tables/patient", "results/tables/other")
    shutil.copytree("results/tables/paper", "results/tables/patient")
    shutil.copytree("results/records/table/paper", "results/records/table/patient", dirs_exist_ok=True)
    ours = {f"table/patient/table{i}" for i in (1, 2, 3)}
    assert would_run(evaluate_under=["paper", "patient"]) == ours


@pytest.mark.parametrize(
    ("path", "job", "after"),
    [
        ("tables/paper/table1.csv", "table/paper/table1", 0),
        ("experiments/se/paper/cases.csv", "evaluate/se/paper", 1),
        ("splits/paper.csv", "split/paper", 9 + 3 + 1),
    ],
)
def test_a_file_edited_by_hand_is_made_again_and_what_follows_from_it(path: str, job: str, after: int) -> None:
    finish(small())
    (Path("results") / path).write_text("mine")
    assert judge(small()).reasons[job] == [f"{path} was edited after it was made"]
    assert len(would_run()) == 1 + after


def test_a_result_without_a_record_runs() -> None:
    finish(small())
    Path("results/records/evaluate/plain/paper.json").unlink()
    assert would_run() == {"evaluate/plain/paper", "figure/paper/figure8"}
    assert why(small(), "plain") == ["evaluate/plain/paper: its results have no record of what they were made from"]


def large(path: str, byte: bytes) -> Path:
    """A file that is too large to be read at every look."""
    file = Path("results") / path
    file.write_bytes(byte * (2**20 + 1))
    return file


WEIGHTS = "experiments/se/paper/trials/weights.safetensors"


@pytest.mark.parametrize(
    ("path", "job"), [(WEIGHTS, "train/se/paper"), ("experiments/se/paper/predictions.h5", "predict/se/paper")]
)
def test_a_flipped_bit_in_a_large_file_runs_its_job(path: str, job: str) -> None:
    finish(small())
    file = large(path, b"a")
    made = Made.of(Path("results"), plan_jobs(small())[job])
    made.write(Path("results"))
    os.utime(file)
    assert would_run() == set()
    with file.open("r+b") as opened:
        opened.write(b"b")
    assert judge(small()).reasons[job] == [f"{path} was edited after it was made"]


def test_damage_by_the_disk_is_found_when_all_is_read() -> None:
    finish(small())
    file = large(WEIGHTS, b"a")
    made = Made.of(Path("results"), plan_jobs(small())["train/se/paper"])
    known = made.files[WEIGHTS]
    assert isinstance(known, Fingerprint)
    file.write_bytes(b"b" + b"a" * 2**20)
    # As if the times had stayed: a disk does not set them.
    now = dataclasses.replace(Fingerprint.of(file, read=False), sha256=known.sha256)
    made = Made(made.job, {**made.files, WEIGHTS: now})
    assert made.changed_files(Path("results")) == {}
    assert made.changed_files(Path("results"), read=True) == {WEIGHTS: "was edited after it was made"}


def test_weights_that_are_missing_from_their_folder_run_the_training() -> None:
    finish(small())
    (Path("results") / WEIGHTS).unlink()
    assert judge(small()).reasons["train/se/paper"] == [f"{WEIGHTS} is missing"]


@pytest.mark.parametrize("damage", ["", "{}", "[1]", '{"job": {"outputs": 3}}', '{"job": 1}'])
def test_a_damaged_record_is_none(damage: str) -> None:
    finish(small())
    Path("results/records/convert.json").write_text(damage)
    assert "convert" in would_run()


def test_an_absent_file_counts_where_it_is_asked_for() -> None:
    finish(small())
    Path("results/experiments/se/paper/predictions.h5").unlink()
    assert would_run() == set()
    Path("results/tables/paper/table1.csv").unlink()
    assert would_run() == {"table/paper/table1"}


class TestSource:
    """The files of the source, each with its size and time."""

    @pytest.fixture(autouse=True)
    def _source(self) -> None:
        for name in ("1.mat", "deep/2.mat", ".hidden/3.mat"):
            path = Path("slices") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        finish(small(source="slices"))
        assert would_run(source="slices") == set()

    # All but the sizes of networks.
    def reasons(self) -> list[str]:
        assert len(would_run(source="slices")) == 16
        return judge(small(source="slices")).reasons["convert"]

    def test_an_edited_file_of_the_same_size(self) -> None:
        Path("slices/deep/2.mat").write_text("DEEP/2.mat")
        assert self.reasons() == ["source: slices/deep/2.mat: edited"]

    def test_an_edited_file_of_the_same_size_and_time(self) -> None:
        before = Path("slices/1.mat").stat()
        Path("slices/1.mat").write_text("1.MAT")
        os.utime("slices/1.mat", ns=(before.st_atime_ns, before.st_mtime_ns))
        assert self.reasons() == ["source: slices/1.mat: edited"]

    def test_files_that_were_touched_or_copied_are_the_same(self) -> None:
        os.utime("slices/1.mat", (1e9, 1e9))
        Path("slices").rename("moved")
        shutil.copytree("moved", "slices", copy_function=shutil.copy)
        assert would_run(source="slices") == set()

    def test_a_touched_file_is_read_once_if_a_run_records_its_new_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        os.utime("slices/1.mat", (1e9, 1e9))
        made = Made.read(Path("results"), "convert")
        assert made is not None
        made.with_times_as_now(Path("results")).write(Path("results"))
        monkeypatch.setattr("mmran.config.fingerprints.sha256_file", None)
        assert would_run(source="slices") == set()

    def test_a_file_that_is_edited_while_it_is_read_is_refused(self) -> None:
        path = job_path(Path("results"), "convert")
        write_json(path, job_json(plan_jobs(small(source="slices"))["convert"]))
        with (
            pytest.raises(UserError, match=r"a file of the source \(slices\) changed while it was read"),
            recorded(path),
        ):
            Path("slices/1.mat").write_text("1.MAT")

    def test_a_new_file_in_a_subfolder_and_one_that_is_gone(self) -> None:
        Path("slices/deep/9.mat").write_text("9")
        Path("slices/1.mat").unlink()
        gone, new = self.reasons()
        assert gone == "source: slices/1.mat: removed"
        assert new == "source: slices/deep/9.mat: added"

    def test_many_changed_files_are_one_line(self) -> None:
        for path in (Path("slices/1.mat"), Path("slices/deep/2.mat")):
            path.write_text(path.read_text().upper())
        assert self.reasons() == ["source: slices/1.mat and 1 other: edited"]

    def test_a_file_of_another_size_is_told_from_one_of_the_same(self) -> None:
        Path("slices/1.mat").write_text("longer than before")
        assert self.reasons() == ["source: slices/1.mat: of another size"]

    def test_an_archive_of_older_date(self) -> None:
        Path("a.zip").write_text("new")
        finish(small(source="a.zip"))
        Path("a.zip").write_text("old")
        os.utime("a.zip", (1e9, 1e9))
        assert len(would_run(source="a.zip")) == 16

    def test_hidden_files_do_not_count_and_a_loop_of_links_ends(self) -> None:
        Path("slices/.hidden/4.mat").write_text("4")
        assert would_run(source="slices") == set()
        Path("slices/deep/loop").symlink_to("..", target_is_directory=True)
        assert would_run(source="slices") == set()

    def test_results_are_of_use_without_their_source(self) -> None:
        shutil.rmtree("slices")
        assert would_run(source="slices") == set()


def test_a_csv_of_ones_own_counts_by_its_content() -> None:
    protocols = {"mine": {"method": "file", "path": "mine.csv", "apart": "none"}}
    mine = {"protocols": protocols, "evaluate_under": ["mine"]}
    Path("mine.csv").write_text("slice,fold,role\n1,0,val\n")
    finish(small(**mine))
    os.utime("mine.csv")
    assert would_run(**mine) == set()
    Path("mine.csv").write_text("slice,fold,role\n1,0,test\n")
    # All but the slices, their audit and the sizes of networks.
    assert len(would_run(**mine)) == 18 - 4
    assert judge(small(**mine)).reasons["split/mine"][0].startswith("sha256: ")


def test_an_absent_csv_of_ones_own_names_the_key_the_file_and_the_columns() -> None:
    protocols = {"mine": {"method": "file", "path": "mine.csv", "apart": "none"}}
    expected = r"protocols\.mine\.path: mine\.csv: cannot be read \(No such file.*\); expected .* slice,fold,role"
    with pytest.raises(UserError, match=expected):
        judge(small(protocols=protocols, evaluate_under=["mine"]))


def test_the_titles_of_other_tables_run_nothing_of_this_one() -> None:
    finish(small())
    tables = {"table1": SMALL["tables"]["table1"] | {"title": "Methods"}}
    assert would_run(tables=tables) == {"table/paper/table1"}


def test_a_row_of_copied_slices_is_made_before_its_table_and_has_reasons_of_its_own() -> None:
    rows = [*SMALL["tables"]["table1"]["rows"], {"label": "Copied", "experiment": "nearest-slice"}]
    config = small(tables={"table1": {"rows": rows}})
    jobs = judge(config).would_run()
    assert jobs.index("nearest_slice/paper") < jobs.index("table/paper/table1")
    assert config.trained_for("table1") == ["dynamic"]
    assert why(config, "nearest-slice")[-1] == "nearest_slice/paper: never run"
    finish(config)
    assert why(config, "nearest-slice") == []
    (config.results / "experiments/nearest-slice/paper/cases.csv").unlink()
    assert judge(config).would_run() == []  # nobody asks for it until a table needs it
    (config.results / "tables/paper/table1.csv").unlink()
    assert {"nearest_slice/paper", "table/paper/table1"} <= set(judge(config).would_run())
    assert "table/paper/table2" not in judge(config).would_run()
