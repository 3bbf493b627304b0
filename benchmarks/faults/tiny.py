"""What the scripts in this folder share: a tiny pipeline in a temporary folder, and the lines that they print."""

import csv
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENT, PROTOCOL = "dynamic", "paper"

TIMES = ("images_per_s", "seconds")
"""Columns of a history that no two trainings share."""

CONFIG: dict[str, Any] = {
    "results": "results",
    "source": "phantom",
    "data": {"phantom": {"patients": 15, "size": 32, "seed": 3}},
    "evaluate_under": [PROTOCOL],
    "defaults": {
        "network": {"width": 0.0625},
        "input": {"size": 32},
        "training": {"epochs": 6, "checkpoint_minutes": 0, "precision": "float32"},
        "resources": {"threads": 1, "memory_mb": 500, "gpus": 0},
    },
}
TABLE = {
    "title": "Faults",
    "kind": "metrics",
    "metrics": ["dice", "acc"],
    "rows": [{"label": "Dynamic", "experiment": EXPERIMENT}],
}


def make_config(folder: Path, seeds: Iterable[int] = (1029,)) -> None:
    """Write config.yaml: one experiment of the paper on synthetic slices, one table, no figure."""
    sys.path.insert(0, str(ROOT / "src"))
    from mmran.config.load import PAPER, load, overlay

    values = overlay(load([PAPER]), CONFIG) | {"tables": {"table1": TABLE}, "figures": {}, "claims": []}
    values["defaults"]["seeds"] = list(seeds)
    (folder / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def environment() -> dict[str, str]:
    """The environment of every command: this checkout's package, one thread."""
    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    """Start `python -m COMMAND` as the leader of a process group."""
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(folder: Path, *command: str) -> str:
    """Run `python -m COMMAND` to its end; returns what it printed.

    Raises:
        RuntimeError: it failed.
    """
    process = start(folder, *command)
    said = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{said}")
    return said


def snakemake(*arguments: str) -> tuple[str, ...]:
    """The command of a run of the pipeline."""
    return ("snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2", "--quiet", "all", *arguments)


def digests(folder: Path, *patterns: str) -> dict[str, str]:
    """Path below a folder -> SHA-256 of every file that a pattern names; of a history without its times."""
    found = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    return {path.relative_to(folder).as_posix(): hashlib.sha256(_content(path)).hexdigest() for path in found}


def _content(path: Path) -> bytes:
    if path.name != "history.csv":
        return path.read_bytes()
    with path.open(newline="") as file:
        rows = [{key: row[key] for key in row if key not in TIMES} for row in csv.DictReader(file)]
    return repr(rows).encode()


def show(title: str, counts: Mapping[str, tuple[int, int]]) -> None:
    """Print one line of a Markdown table for each fault: how often it was tried, and how often all was well."""
    print(f"| {title} | tried | as promised |\n|---|---|---|")
    for name, (tried, well) in counts.items():
        print(f"| {name} | {tried} | {well} |", flush=True)
