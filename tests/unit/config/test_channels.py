"""`data.channels` in a configuration: what networks and jobs learn of it, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from mmran.cli import main
from mmran.config.configuration import Config
from mmran.config.jobs import plan_jobs
from mmran.config.load import PAPER, load, overlay
from mmran.config.source_files import list_source
from mmran.errors import UserError

OUTSIDE = """
from torch import nn

class Mine(nn.Module):
    stride, tasks, recipe = 4, ("segmentation",), "mmran.training.multitask:Multitask"

    def __init__(self, *, width: float = 1.0):
        super().__init__()
"""


def config(channels: Any, **changes: Any) -> Config:
    values = overlay(load([PAPER]), {"source": "own", **changes})
    values["data"] |= {} if channels is None else {"channels": channels}
    return Config.checked(values)


def test_every_network_gets_the_number_of_channels() -> None:
    found = config(["t1", "t1ce", "t2", "flair"])
    assert found.channels == ("t1", "t1ce", "t2", "flair")
    assert {found._resolved(name, code={}).network.channels for name in found.all_experiments()} == {4}
    assert found._resolved("he", code={}).network.arguments["channels"] == 4


@pytest.mark.parametrize("channels", [None, ["t1"]])
def test_the_specification_of_one_channel_does_not_mention_it(channels: list[str] | None) -> None:
    found, paper = config(channels), Config.read([PAPER])
    for name in found.all_experiments():
        assert found._resolved(name, code={}).to_json() == paper._resolved(name, code={}).to_json()


def test_other_channels_convert_again() -> None:
    jobs = [plan_jobs(config(channels))["convert"] for channels in (None, ["a", "b"], ["b", "a"])]
    assert len({job.digest for job in jobs}) == 3
    assert "channels" not in jobs[0].values


def test_the_files_of_every_channel_belong_to_the_source(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "t2.png").touch()
    (tmp_path / "own" / "slices.csv").write_text("image_t1,image_t2,patient\nt1.png,../t2.png,P1\n")
    (files,) = list_source([str(tmp_path / "own")], {}, {}).values()
    assert set(files) == {"slices.csv", "../t2.png"}


def test_synthetic_slices_have_one_channel() -> None:
    with pytest.raises(UserError, match=r"data\.channels: \[a, b\], but synthetic slices \(source: phantom\) have one"):
        config(["a", "b"], source="phantom")


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ([], r"config: data\.channels: \[\] should be non-empty"),
        (["a", "a"], r"config: data\.channels: \['a', 'a'\] has non-unique elements"),
        (["a", "b c"], r"config: data\.channels\.1: 'b c' does not match"),
        ("a", r"config: data\.channels: 'a' is not of type 'array'"),
    ],
)
def test_what_names_no_channels_is_refused(channels: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        config(channels)


def test_the_number_of_channels_of_a_network_follows_from_the_data() -> None:
    with pytest.raises(UserError, match=r"network\.channels follows from data\.channels; remove it"):
        config(["a", "b"], experiments={"mmran": {"network": {"channels": 2}}})


def test_a_network_from_outside_needs_the_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "gray_alone.py").write_text(OUTSIDE)
    (tmp_path / "any_channels.py").write_text(OUTSIDE.replace("width: float = 1.0", "width: float = 1.0, channels=1"))
    mine = {"experiments": {"mine": {"network": {"name": "mine"}}}}
    with pytest.raises(
        UserError, match=r"mine: network gray_alone:Mine takes images of one channel, and data\.channels"
    ):
        config(["a", "b"], networks={"mine": "gray_alone:Mine"}, **mine)
    assert config(None, networks={"mine": "gray_alone:Mine"}, **mine).resolve("mine").network.channels == 1
    found = config(["a", "b"], networks={"mine": "any_channels:Mine"}, **mine)
    assert found.resolve("mine").network.channels == 2


def test_a_plan_counts_the_networks_for_these_channels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("data: {channels: [a, b]}\n")
    assert main(["networks", "--config", str(PAPER), str(own), "--json"]) == 0
    assert '"channels": 2' in capsys.readouterr().out
