"""A checkout with a tiny configuration: run once, and with results that no stage made."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmran.config.load import load, overlay
from mmran.tune.head import head

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "workflow", "src", "envs", "profiles", "config.yaml")

TINY: dict[str, Any] = {
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
    "figures": {},
}

# Writes what a whole run leaves, in the configuration and source of a checkout.
_FINISH = """
from mmran.config.configuration import Config
from mmran.config.load import load
from tests.unit.config.finished import finish
finish(Config.checked(load(["config.yaml"])))
"""

# What the package says of it, in the checkout's own source.
_JUDGE = """
import json
from mmran.config.configuration import Config
from mmran.config.load import load
from mmran.config.reruns import judge
verdict = judge(Config.checked(load(["config.yaml"])))
digests = {name: job.digest for name, job in verdict.jobs.items()}
modules = sorted({module for job in verdict.jobs.values() for module in job.code})
print(json.dumps({"digests": digests, "would_run": verdict.would_run(), "modules": modules}))
"""


@dataclass(frozen=True)
class House:
    """A checkout with a configuration of its own."""

    path: Path

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "snakemake", *arguments)

    def mmran(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "mmran", *arguments)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(self.path / "src"), str(ROOT)])}
        return subprocess.run(command, cwd=self.path, env=environment, capture_output=True, text=True, check=False)

    def jobs(self, *arguments: str) -> set[str]:
        """What a dry run says would run: "train/se/paper", "table/paper/table2", "convert"."""
        done = self.snakemake("-n", *arguments, "--quiet", "host", "reason")
        assert done.returncode == 0, done.stdout + done.stderr
        records = [
            path.partition("records/")[2].removesuffix(".json")
            for line in (done.stdout + done.stderr).splitlines()
            if line.startswith("    output:")
            for path in line.split(", ")
            if "/records/" in path
        ]
        assert len(records) == len(set(records))
        return set(records)

    def judged(self) -> tuple[set[str], dict[str, str]]:
        """The jobs that `mmran plan` and `mmran why` say would run, and the digest of every job."""
        values = self._verdict()
        return set(values["would_run"]), values["digests"]

    def modules(self) -> list[str]:
        """Every module that decides a result."""
        return list(self._verdict()["modules"])

    def _verdict(self) -> dict[str, Any]:
        done = self.run(sys.executable, "-c", _JUDGE)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def finish(self) -> None:
        """Write files and records as a whole run leaves them."""
        done = self.run(sys.executable, "-c", _FINISH)
        assert done.returncode == 0, done.stderr

    def edit(self, path: str, before: str, after: str) -> None:
        file = self.path / path
        text = file.read_text()
        assert before in text, f"{path} does not hold {before!r}"
        file.write_text(text.replace(before, after))

    def configure(self, **changes: object) -> None:
        write_config(self.path, changes)

    def copy(self, target: Path, *ignore: str) -> "House":
        """Another checkout like this one, with its own results."""
        shutil.copytree(self.path, target, symlinks=True, ignore=shutil.ignore_patterns(*ignore))
        return House(target)


def write_config(path: Path, changes: dict[str, object]) -> None:
    values = overlay(load([ROOT / "config.yaml"]), TINY)
    values.pop("claims", None)  # of experiments that are not among these
    for name in ("experiments", "tables", "figures"):
        values[name] = dict(TINY[name])
    values |= changes
    (path / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


def make_house(path: Path) -> House:
    path.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        if source.is_symlink():
            (path / part).symlink_to(source.readlink())
        elif source.is_dir():
            shutil.copytree(source, path / part, ignore=ignore, symlinks=True)
        else:
            shutil.copy2(source, path / part)
    write_config(path, {})
    return House(path)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house whose pipeline has run to the end, in a folder whose name a shell would split; not to be edited."""
    house = make_house(tmp_path_factory.mktemp("it's a house"))
    beside_head = ("run", "--cpus", "2", "--gpus", "0", "--", sys.executable)
    done = house.mmran(*beside_head, "-m", "snakemake", "--cores", "2")
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
    return built.copy(tmp_path / "house")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house with results that no stage made: enough to ask what would run, and there in a second."""
    house = make_house(tmp_path_factory.mktemp("template"))
    house.finish()
    return house


@pytest.fixture
def finished(template: House, tmp_path: Path) -> House:
    """A copy of that house, to be edited."""
    return template.copy(tmp_path / "finished", "__pycache__")
