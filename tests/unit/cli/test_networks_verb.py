"""The verb `networks`, and the costs it lists."""

import json
from argparse import ArgumentParser
from itertools import pairwise

import pytest

from mmran.cli.networks import VERBS
from mmran.errors import UserError
from mmran.networks.complexity import multiply_accumulates, published_millions


def run(*words: str) -> None:
    parser = ArgumentParser()
    VERBS[0].arguments(parser)
    VERBS[0].run(parser.parse_args(words))


def spec(path, **network) -> str:
    values = {
        "name": "mine",
        "network": {"name": "mmran", "width": 0.25, **network},
        "input": {"size": 64, "fit": "pad", "percentiles": [1, 99]},
        "augmentation": {},
        "loss": {},
        "schedule": {"name": "dynamic"},
        "training": {"learning_rate": 0.001},
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
    assert multiply_accumulates("mmran", 512, attention="none", reading="released") == by_hand


def test_published_count_belongs_to_the_network_whatever_its_width_or_how_its_defaults_are_written():
    assert published_millions("mmran", {"width": 0.25}) == 42.73
    assert published_millions("mmran", {"attention": "mram", "reading": "paper"}) == 42.73
    assert published_millions("mmran", {"attention": "se"}) is None


def test_table_lists_every_variant_with_counts_at_both_widths(capsys):
    run("--size", "32", "--width", "0.25")
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()[2:]}
    assert lines["mmran"][1:6] == ["42,770,180", "42.73", "0.25", "2,689,220", "32"]
    assert lines["baseline"][1:3] == ["31,280,900", "0.25"]  # Table 3 has no such row


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


def test_impossible_size_or_option_names_the_row(tmp_path):
    with pytest.raises(UserError, match=r"baseline: size 100: network mmran needs a positive multiple of 16"):
        run("--size", "100")
    with pytest.raises(UserError, match=r"mine: network option attention: 'x' is unknown"):
        run("--spec", spec(tmp_path / "spec.json", attention="x"))
