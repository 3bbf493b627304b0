"""What a cluster cannot give is said before the first job, from what its sinfo prints."""

from pathlib import Path
from typing import Any

import pytest

from mmran.config.configuration import Config
from mmran.config.load import load, overlay
from mmran.errors import UserError
from mmran.workflow import slurm

ROOT = Path(__file__).resolve().parents[3]
CLUSTER = """\
gpu*|7-00:00:00|64|512000|gpu:a100:4(S:0-1)
gpu*|7-00:00:00|32|256000|gpu:v100:2(S:0),gpu:t4:1
long|infinite|64|512000|(null)
short|30:00|64+|512000+|(null)
"""


def config(**resources: Any) -> Config:
    paper = load([ROOT / "config.yaml"])
    values = overlay(paper, {"defaults": {"resources": {"runtime_minutes": 20} | resources}})
    row = {"label": "SE", "experiment": "se"}
    table = {"title": "One", "kind": "metrics", "metrics": ["dice"], "rows": [row]}
    return Config.checked(values | {"tables": {"one": table}, "figures": {}})


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH, with a stand-in for sbatch."""
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path, "sbatch", "exit 0")
    return tmp_path


@pytest.fixture
def cluster(on_path: Path) -> None:
    """A stand-in for sinfo that prints CLUSTER."""
    program(on_path, "sinfo", f"while read -r line; do echo \"$line\"; done <<'END'\n{CLUSTER}END")


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def message(**resources: Any) -> str:
    with pytest.raises(UserError) as raised:
        slurm.check(config(**resources))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_nodes_are_read_as_sinfo_prints_them(cluster: None) -> None:
    found = slurm.nodes()
    assert [node.partition for node in found] == ["gpu", "gpu", "long", "short"]
    assert [node.default for node in found] == [True, True, False, False]
    # Seven days; no limit; half an hour.
    assert [node.minutes for node in found] == [10080, 10080, None, 30]
    # Four of one kind; two and one of two kinds.
    assert [node.gpus for node in found] == [4, 3, 0, 0]
    assert [node.cpus for node in found] == [64, 32, 64, 64]


@pytest.mark.parametrize(
    "resources",
    [{"gpus": 4}, {"gpus": 1, "partition": "gpu"}, {"partition": "long", "runtime_minutes": 100000}],
    ids=["default partition", "named", "no limit"],
)
def test_what_the_cluster_has_passes(cluster: None, resources: dict[str, Any]) -> None:
    slurm.check(config(**resources))


def test_an_unknown_partition_names_the_known(cluster: None) -> None:
    said = message(partition="shrt")
    assert said == (
        "config: resources.partition of se: no partition 'shrt'; did you mean 'short'? known: gpu, long, short"
    )


def test_a_gpu_where_there_is_none_names_the_partitions_that_have_some(cluster: None) -> None:
    said = message(partition="short", gpus=1)
    assert said == (
        "config: resources.gpus of se: requests 1, but a job in partition 'short' can have at most 0; name a "
        "partition with GPUs, or set gpus: 0 (known partitions: gpu with 4 GPUs a node, long, short)"
    )


@pytest.mark.parametrize(
    ("key", "asked", "most"), [("threads", 65, "64"), ("memory_mb", 600000, "512000"), ("runtime_minutes", 31, "30")]
)
def test_more_than_any_node_has_is_refused(cluster: None, key: str, asked: int, most: str) -> None:
    said = message(partition="short", **{key: asked})
    assert f"resources.{key} of se: requests {asked}" in said
    assert f"can have at most {most};" in said


def test_without_slurm_it_says_where_to_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = message()
    assert said.startswith("no Slurm on this machine: sbatch is not on PATH; start on a login node")
    assert "snakemake --cores all" in said


def test_a_slurm_that_does_not_answer_is_quoted(on_path: Path) -> None:
    program(on_path, "sinfo", "echo 'slurm_load_partitions: Unable to contact slurm controller' >&2; exit 1")
    assert message().startswith(
        "Slurm does not answer (slurm_load_partitions: Unable to contact slurm controller); run `sinfo`"
    )
