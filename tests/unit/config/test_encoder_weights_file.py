"""`network.encoder_weights`: the content of the file decides, not its place."""

import shutil
from pathlib import Path

import pytest

from mmran.config.configuration import Config
from mmran.config.experiment import Experiment, WeightsFile
from mmran.config.reruns import judge, why
from mmran.errors import UserError
from tests.unit.config.finished import finish, small


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r50.pth").write_bytes(b"some weights")


def started_from(path: str) -> Config:
    return small(experiments={"plain": {"network": {"encoder_weights": path}}})


def test_an_edited_file_trains_again_and_why_says_so() -> None:
    finish(started_from("r50.pth"))
    assert judge(started_from("r50.pth")).counts() == {}
    Path("r50.pth").write_bytes(b"others")
    lines = [line for line in why(started_from("r50.pth"), "plain") if line.startswith("train/")]
    assert len(lines) == 1
    assert lines[0].startswith("train/plain/paper: network.encoder_weights.sha256: ")
    assert judge(started_from("r50.pth")).counts()["train"] == 1


def test_a_moved_file_trains_nothing_again() -> None:
    before = started_from("r50.pth")
    finish(before)
    shutil.move("r50.pth", "moved.pth")
    after = started_from("moved.pth")
    assert judge(after).counts() == {}
    assert after.resolve("plain").digest() == before.resolve("plain").digest()


def test_without_the_key_the_digest_is_another() -> None:
    assert small().resolve("plain").digest() != started_from("r50.pth").resolve("plain").digest()


def test_a_missing_file_is_one_line_with_the_experiment() -> None:
    with pytest.raises(UserError) as error:
        judge(started_from("absent.pth"))
    assert str(error.value) == (
        "config: experiments.plain: network.encoder_weights: absent.pth: cannot be read (No such file or directory); "
        "name a file of weights, or null for none"
    )


def test_a_file_of_the_defaults_belongs_to_their_network() -> None:
    network = {"name": "datta", "attention": None, "encoder_weights": "r50.pth"}
    config = small(defaults={"network": network}, experiments={"se": {"network": {"name": "mmran"}}})
    assert config.resolve("plain").network.encoder_weights is None
    assert config.resolve("dynamic").network.encoder_weights is not None


def test_a_specification_keeps_place_and_digest(tmp_path: Path) -> None:
    experiment = started_from("r50.pth").resolve("plain")
    (tmp_path / "spec.json").write_text(experiment.to_json())
    again = Experiment.read(tmp_path / "spec.json")
    assert again.network.encoder_weights == WeightsFile("r50.pth").read()
    assert again.digest() == experiment.digest()


def test_a_file_that_is_no_longer_the_recorded_one_is_refused() -> None:
    recorded = WeightsFile("r50.pth").read()
    assert recorded.verified() == Path("r50.pth")
    Path("r50.pth").write_bytes(b"others")
    with pytest.raises(UserError, match=r"r50\.pth: not the recorded file; run snakemake again"):
        recorded.verified()
