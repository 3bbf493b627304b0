"""Results accepted for other code than the one that made them."""

import dataclasses
from pathlib import Path

import pytest

from mmran.config import jobs
from mmran.config.accepted import accept, acceptances_path, accepted_spec, in_effect, read_acceptances
from mmran.config.provenance import code_digests
from mmran.config.reruns import judge
from mmran.errors import UserError
from mmran.files import sha256_file
from tests.unit.config.finished import finish, small

LATER = {"mmran.training.losses": "0123456789abcdef"}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The results are there, and the source of the losses has changed since."""
    finish(small())
    change_code(monkeypatch, LATER)


def change_code(monkeypatch: pytest.MonkeyPatch, later: dict[str, str]) -> None:
    texts = jobs.stage_texts

    def changed(config: object) -> dict[str, str]:
        found = texts(config)  # type: ignore[arg-type]
        now = dict(code_digests(["mmran.training.losses"]))
        for module, digest in later.items():
            found = {key: text.replace(now[module], digest) for key, text in found.items()}
        return found

    monkeypatch.setattr(jobs, "stage_texts", changed)


def would_run() -> set[str]:
    return set(judge(small()).would_run()) - {"overview", "compare/paper"}


@pytest.mark.usefixtures("upgraded")
class TestAfterAnUpgrade:
    def test_everything_trained_would_run_because_of_code_alone(self) -> None:
        verdict = judge(small())
        trainings = {name: modules for name, modules in verdict.code_alone.items() if name.startswith("train/")}
        assert trainings == {f"train/{name}/paper": ["mmran.training.losses"] for name in ("dynamic", "se", "plain")}

    def test_accepting_all_leaves_the_tables_and_figures_to_make_with_a_note(self) -> None:
        added = accept(small(), None, "  comments\nonly ")
        assert sorted(one.job for one in added) == ["train/dynamic/paper", "train/plain/paper", "train/se/paper"]
        tables = {f"table/paper/table{i}" for i in (1, 2, 3)}
        assert would_run() <= tables | {"figure/paper/figure8", "networks/table3"}
        assert tables - {"table/paper/table3"} <= would_run()
        (one,) = in_effect(Path("results"), "se", "paper")
        assert (one.because, one.modules) == ("comments only", ("mmran.training.losses",))
        assert one.recorded != one.present
        assert len(one.date) == len("2026-11-25")

    def test_accepting_one_leaves_the_others_to_train(self) -> None:
        accept(small(), "baseline", "comments")
        assert "train/dynamic/paper" not in would_run()
        assert {"train/se/paper", "train/plain/paper"} <= would_run()

    def test_tables_are_told_which_specification_was_accepted(self) -> None:
        assert accepted_spec(Path("results"), "se", "paper") is None
        accept(small(), "se", "comments")
        spec = sha256_file("results/experiments/se/paper/spec.json")
        assert accepted_spec(Path("results"), "se", "paper") == spec
        assert accepted_spec(Path("results"), "plain", "paper") is None

    def test_another_change_of_the_code_has_to_be_accepted_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        accept(small(), None, "comments")
        monkeypatch.undo()
        change_code(monkeypatch, {"mmran.training.losses": "fedcba9876543210"})
        assert {f"train/{name}/paper" for name in ("dynamic", "se", "plain")} <= would_run()

    def test_accepting_twice_records_once(self) -> None:
        assert len(accept(small(), None, "comments")) == 3
        assert accept(small(), None, "comments") == []
        assert len(read_acceptances(Path("results"))) == 3

    def test_an_edited_option_cannot_be_accepted(self) -> None:
        edited = small(experiments={"se": {"training": {"epochs": 2}}})
        with pytest.raises(UserError, match="train/se/paper: something besides its code differs"):
            accept(edited, "se", "comments")
        assert {one.job for one in accept(edited, None, "comments")} == {"train/dynamic/paper", "train/plain/paper"}

    def test_an_acceptance_ends_with_the_results_that_it_is_of(self) -> None:
        accept(small(), None, "comments")
        finish(small())
        assert in_effect(Path("results"), "se", "paper") == ()


def test_a_reason_is_asked_for_and_a_result() -> None:
    with pytest.raises(UserError, match="--because: empty"):
        accept(small(), None, " \n")
    with pytest.raises(UserError, match="se: no recorded training under protocol paper"):
        accept(small(), "se", "comments")


def test_a_damaged_list_of_acceptances_is_one_line() -> None:
    finish(small())
    acceptances_path(Path("results")).write_text('[{"job": "train/se/paper"}]')
    with pytest.raises(UserError, match=r"accepted\.json: not a list of acceptances"):
        judge(small())


def test_a_job_refuses_source_that_changed_after_the_run_began(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmran.config.made import Made, job_json, job_path, recorded
    from mmran.files import write_json

    job = jobs.plan_jobs(small())["evaluate/se/paper"]
    path = job_path(Path("results"), job.name)
    write_json(path, job_json(job))
    with recorded(path):
        pass
    assert Made.read(Path("results"), job.name) is not None
    other = dataclasses.replace(job, code=dict(job.code) | {"mmran.metrics.overlap": "0123456789abcdef"})
    write_json(path, job_json(other))
    with (
        pytest.raises(UserError, match=r"the source of mmran\.metrics\.overlap changed after this run began"),
        recorded(path),
    ):
        pytest.fail("the job ran")
