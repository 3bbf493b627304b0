"""A copy of the pipeline with a tiny configuration, run once."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from mmran.tune.head import head

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "workflow", "src", "envs", "profiles")

TINY = {
    "results": "results",
    "source": "phantom",
    "data": {"phantom": {"patients": 15, "size": 32, "seed": 3}},
    "evaluate_under": ["paper"],
    "defaults": {
        "network": {"width": 0.0625},
        "input": {"size": 32},
        "training": {"epochs": 1, "checkpoint_minutes": 0},
        "resources": {"threads": 1, "memory_mb": 500, "runtime_minutes": 5},
    },
    "experiments": {
        "dynamic": {},
        "baseline": "dynamic",
        "se": {"network": {"attention": "se"}},
        "plain": {"network": {"name": "resnet-50"}},
    },
    "tables": {
        "table1": {
            "title": "Training",
            "kind": "metrics",
            "metrics": ["dice", "acc"],
            "rows": [{"label": "Dynamic", "experiment": "dynamic", "paper": {"dice": 77.58, "acc": 86.93}}],
        },
        "table2": {
            "title": "Ablation",
            "kind": "metrics",
            "metrics": ["dice", "acc", "hd95_mm"],
            "rows": [
                {"label": "Baseline", "experiment": "baseline"},
                {"label": "SE", "experiment": "se"},
                {"label": "SE + PKP", "experiment": "se", "variant": "pkp"},
                {"label": "ResNet-50", "experiment": "plain"},
            ],
        },
        "table3": {"title": "Parameters", "kind": "parameters", "rows": [{"label": "SE", "experiment": "se"}]},
    },
}


@dataclass(frozen=True)
class House:
    """A checkout with a configuration of its own."""

    path: Path

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "snakemake", *arguments)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(self.path / "src")}
        return subprocess.run(command, cwd=self.path, env=environment, capture_output=True, text=True, check=False)

    def jobs(self, *targets: str) -> set[str]:
        """What would run: rule:experiment, rule:table or the rule alone."""
        done = self.snakemake("-n", *targets, "--quiet", "host")
        assert done.returncode == 0, done.stdout + done.stderr
        found, rule = set(), ""
        for line in (done.stdout + done.stderr).splitlines():
            if line.startswith(("rule ", "localrule ")):
                rule = line.split()[1].rstrip(":")
                found.add(rule)
            elif line.startswith("    wildcards:"):
                values = dict(pair.split("=") for pair in line.partition(":")[2].strip().split(", "))
                found.discard(rule)
                found.add(f"{rule}:{values.get('experiment') or values.get('table') or values.get('protocol')}")
        return found - {"all"}

    def edit(self, path: str, before: str, after: str) -> None:
        file = self.path / path
        text = file.read_text()
        assert before in text, f"{path} does not hold {before!r}"
        file.write_text(text.replace(before, after))

    def configure(self, **changes: object) -> None:
        write_config(self.path, changes)


def write_config(path: Path, changes: dict[str, object]) -> None:
    from mmran.config.load import load, overlay

    paper = load([ROOT / "config.yaml"])
    values = overlay(paper, TINY)
    values["experiments"], values["tables"] = dict(TINY["experiments"]), dict(TINY["tables"])  # type: ignore[call-overload]
    values["figures"] = {}
    values |= changes
    (path / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


def make_house(path: Path) -> House:
    path.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        if source.is_dir():
            shutil.copytree(source, path / part, ignore=ignore, symlinks=True)
        else:
            shutil.copy2(source, path / part)
    write_config(path, {})
    return House(path)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house whose pipeline has run to the end, in a folder whose name a shell would split; not to be edited."""
    house = make_house(tmp_path_factory.mktemp("it's a house"))
    done = house.run(
        sys.executable,
        "-m",
        "mmran",
        "run",
        "--cpus",
        "2",
        "--gpus",
        "0",
        "--",
        sys.executable,
        "-m",
        "snakemake",
        "--cores",
        "2",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return house


@pytest.fixture(scope="session")
def ray_head() -> Iterator[dict[str, str]]:
    """The environment of jobs beside a head with eight CPUs and two simulated GPUs, for all tests that may share it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
        with head(8, 2) as reach:
            yield reach


@pytest.fixture
def house(built: House, tmp_path: Path) -> House:
    """A copy of the built house, times kept, to be edited."""
    target = tmp_path / "house"
    shutil.copytree(built.path, target, symlinks=True)
    return House(target)
