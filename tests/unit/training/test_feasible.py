"""What can be trained is known before there is any data."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mmran.config.configuration import Config
from mmran.config.experiment import Experiment
from mmran.config.load import PAPER, load, overlay
from mmran.errors import UserError
from mmran.training.feasible import obstacles, refuse_impossible

OUTSIDE = """
from torch import nn
from mmran.networks.output import NetworkOutput

class Mine(nn.Module):
    stride, tasks, recipe = 4, ("segmentation",), "mmran.training.multitask:Multitask"
    def __init__(self, *, width=1.0):
        super().__init__()
        BODY
    def forward(self, images):
        return NetworkOutput(mask_logits=self.head(images))
"""


def experiment(**entry: Any) -> Experiment:
    small = {"defaults": {"network": {"width": 0.0625}, "input": {"size": 32}}, "experiments": {"mine": entry}}
    return Config.checked(overlay(load([PAPER]), small)).resolve("mine")


@pytest.mark.parametrize("name", ["mmran", "y-net"])
def test_a_network_of_the_paper_can_be_trained(name: str) -> None:
    refuse_impossible(experiment(network={"name": name}))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"network": {"attention": "x"}}, r"network option attention: 'x' is unknown"),
        ({"network": {"name": "mb-dcnn"}, "training": {"epochs": 2}}, r"2 is too few"),
        ({"network": {"name": "y-net"}, "training": {"epochs": 1}}, r"1 is too few for the two stages"),
        ({"network": {"name": "absent_module:Net"}}, r"cannot import 'absent_module'"),
    ],
)
def test_what_cannot_be_trained_is_one_line_with_the_experiment(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=rf"^config: experiments\.mine: .*{message}") as error:
        refuse_impossible(experiment(**entry))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("self.head = nn.Conv2d(1, 1, 'three')", "network faulty:Mine cannot be built"),
        ("self.head = undefined", "NameError: name 'undefined' is not defined"),
        (
            "self.head, self.recipe = nn.Conv2d(1, 1, 1), 'mmran.training.multitask:Multtask'",
            "did you mean 'Multitask'",
        ),
    ],
)
def test_a_fault_in_a_network_from_outside_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, message: str
) -> None:
    (tmp_path / "faulty.py").write_text(OUTSIDE.replace("BODY", body))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "faulty", raising=False)
    entry = {"network": {"name": "faulty:Mine", "mask_prior": None}}
    with pytest.raises(UserError, match=message) as error:
        refuse_impossible(experiment(**entry))
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_the_process_reads_specifications_and_names_the_obstacles() -> None:
    specs = [experiment(), experiment(network={"attention": "x"})]
    values = [spec.to_values() | {"name": name} for spec, name in zip(specs, ("good", "bad"), strict=True)]
    assert list(obstacles(values)) == ["bad"]
    command = [sys.executable, "-m", "mmran.training.feasible"]
    answer = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=True)
    assert list(json.loads(answer.stdout)) == ["bad"]
