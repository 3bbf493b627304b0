"""The verb `networks`, and the costs it lists."""

import json
from argparse import ArgumentParser, Namespace
from itertools import pairwise
from pathlib import Path

import pytest

from mmran.cli.experiments import configuration_files
from mmran.cli.networks import VERBS
from mmran.config.load import PAPER, load
from mmran.errors import UserError
from mmran.files import write_json
from mmran.networks.complexity import multiply_accumulates
from tests.paper import DEFAULTS


def run(*words: str) -> None:
    parser = ArgumentParser()
    VERBS[0].arguments(parser)
    VERBS[0].run(parser.parse_args(words))


def spec(path, **network) -> str:
    values = {
        "name": "mine",
        "network": {"name": "mmran", "width": 0.25, **network},
        "input": {"size": 64, "fit": "pad", "percentiles": [1, 99]},
        "augmentation": DEFAULTS["augmentation"],
        "loss": DEFAULTS["loss"],
        "schedule": {"name": "dynamic"},
        "training": DEFAULTS["training"],
        "seeds": [1029],
    }
    path.write_text(json.dumps(values))
    return str(path)


def test_multiply_accumulates_grow_with_the_area_but_for_gates_and_class_head():
    # Everything else is convolution. Class head: 21 bins x 1024 channels x 3. Gates of MRAM: C^2 for two
    # branches of two layers C x C/4, of C = 64, 128, 256, 512.
    constant = 21 * 1024 * 3 + 348_160
    one, four = (multiply_accumulates("mmran", size, attention="mram") for size in (64, 128))
    assert four - constant == 4 * (one - constant)


def test_multiply_accumulates_are_weights_times_the_pixels_they_are_applied_to():
    def double(before: int, after: int) -> int:  # two 3 x 3 convolutions and a 1 x 1 shortcut
        return 9 * before * after + 9 * after**2 + before * after

    channels = (64, 128, 256, 512, 1024)
    by_hand = 64 * 512**2  # mask head
    for depth, (before, after) in enumerate(pairwise((1, *channels))):
        by_hand += double(before, after) * (512 >> depth) ** 2  # encoder
    for depth, (after, before) in enumerate(pairwise(channels)):
        # Decoder: every pixel below makes four by the transposed convolution.
        by_hand += 4 * before * after * (256 >> depth) ** 2 + double(2 * after, after) * (512 >> depth) ** 2
    for step, (before, after) in enumerate(pairwise(reversed(channels))):
        by_hand += double(before, after) * (32 >> step) ** 2  # class head
    by_hand += 1920 * 100 + 100 * 3
    assert multiply_accumulates("mmran", 512, attention="none", reading="released-backbone") == by_hand


@pytest.fixture
def small(tmp_path: Path) -> list[str]:
    """The paper's configuration with three experiments, two of which share a network."""
    values = load([PAPER])
    names = ("fixed-0.2", "dynamic", "mmran")
    rows = [{"label": "MMRAN", "experiment": "mmran", "paper": {"params_m": 42.73}}]
    values["tables"] = {"sizes": {"title": "Sizes", "kind": "parameters", "rows": rows}}
    values |= {"figures": {}, "claims": [], "experiments": {name: values["experiments"][name] for name in names}}
    write_json(tmp_path / "config.yaml", values)
    return ["--config", str(tmp_path / "config.yaml")]


def test_table_lists_every_network_with_counts_at_both_widths(small, capsys):
    run(*small, "--size", "32", "--width", "0.25")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [line[0] for line in lines] == ["dynamic", "mmran"]
    assert lines[0][1:6] == ["and", "1", "more", "31,280,900", "0.25"]  # the tables print no count of it
    assert lines[1][1:6] == ["42,770,180", "42.73", "0.25", "2,689,220", "32"]


def test_json_has_an_entry_for_each_experiment(small, capsys):
    run(*small, "--size", "32", "--width", "0.0625", "--json")
    entries = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in entries] == ["dynamic", "fixed-0.2", "mmran"]
    assert entries[0]["parameters"] == entries[1]["parameters"] < entries[2]["parameters"]


def test_away_from_a_checkout_the_papers_configuration_is_used_and_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert configuration_files(Namespace(config=None, verb="networks")) == [PAPER]
    assert "mmran networks: no config.yaml here; using the paper's configuration" in capsys.readouterr().err
    (tmp_path / "config.yaml").write_text("")
    assert configuration_files(Namespace(config=None, verb="networks")) == [Path("config.yaml")]
    assert configuration_files(Namespace(config=[Path("mine.yaml")], verb="networks")) == [Path("mine.yaml")]


def test_json_of_an_experiment_has_its_own_width_and_size(tmp_path):
    run(
        "--json",
        "--spec",
        spec(tmp_path / "spec.json", attention="none"),
        "--output",
        str(tmp_path / "n.json"),
    )
    (entry,) = json.loads((tmp_path / "n.json").read_text())
    assert entry["name"] == "mine"
    assert (entry["parameters_full_width"], entry["width"], entry["size"]) == (31_280_900, 0.25, 64)
    assert entry["parameters"] < entry["parameters_full_width"]


def test_impossible_size_or_option_names_the_experiment(small, tmp_path):
    with pytest.raises(UserError, match=r"dynamic: size 100: network mmran needs a positive multiple of 16"):
        run(*small, "--size", "100")
    with pytest.raises(UserError, match=r"mine: network option attention: 'x' is unknown"):
        run("--spec", spec(tmp_path / "spec.json", attention="x"))
