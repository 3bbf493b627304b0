"""SIGKILL a process of a whole run at a random instant, repeat the command, and compare the results.

    python benchmarks/faults/kill_workflow.py [--n 1] [--seed 0]

The victim is `mmran run`, Snakemake, the driver of a training, a worker of Ray, or the shell of a job; each is killed
N times. Prints one table line for each; exits with 1 if the second command fails or any byte differs.
"""

import argparse
import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path

from tiny import digests, make_config, run, show, snakemake, start

COMMAND = ("mmran", "run", "--cpus", "2", "--gpus", "0", "--", *(("python", "-m", *snakemake())))
RESULTS = (
    *("experiments/*/*/trials/*/weights.safetensors", "experiments/*/*/cases.csv", "experiments/*/*/history.csv"),
    *("tables/*/*.csv", "statistics/*/*.csv"),
)
VICTIMS = {
    "mmran run": ("mmran", "run"),
    "Snakemake": ("snakemake", "--cores"),
    "driver": ("mmran", "train", "--spec"),
    "worker of Ray": ("ray::",),
    "shell of a job": ("/bin/bash", "-c"),
}
"""Name -> words that its command line contains."""


def descendants(pid: int) -> dict[int, str]:
    """Process -> command line of everything that a process started, directly or not, and of itself."""
    parents, lines = dict[int, int](), dict[int, str]()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            lines[int(place.name)] = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {one: lines.get(one, "") for one in found}


def kill_one(folder: Path, words: tuple[str, ...], seconds: float) -> bool:
    """Start the run; when the victim has appeared, wait, kill it, and let the run end. False if it never appeared."""
    process = start(folder, *COMMAND)
    due: float | None = None
    killed = False
    while process.poll() is None:
        victims = [pid for pid, line in descendants(process.pid).items() if all(word in line for word in words)]
        if victims and due is None:
            due = time.monotonic() + seconds
        if victims and due is not None and time.monotonic() >= due and not killed:
            os.kill(victims[0], signal.SIGKILL)
            killed = True
        time.sleep(0.05)
    process.communicate()
    return killed


def main() -> int:
    """Kill each victim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1, help="number of kills of each kind")
    parser.add_argument("--seed", type=int, default=0, help="seed of the instants")
    arguments = parser.parse_args()
    draw, counts = random.Random(arguments.seed), dict[str, tuple[int, int]]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_config(folder, seeds=[1, 2])
        run(folder, *COMMAND)
        expected = digests(folder / "results", *RESULTS)
        for victim, words in VICTIMS.items():
            tried = well = 0
            for _ in range(arguments.n):
                shutil.rmtree(folder / "results")
                tried += kill_one(folder, words, draw.uniform(0, 10 if victim in ("mmran run", "Snakemake") else 2))
                try:
                    run(folder, *COMMAND)
                except RuntimeError as error:
                    print(error)
                    continue
                well += digests(folder / "results", *RESULTS) == expected
            counts[victim] = (tried, well)
    show("SIGKILL at a random instant", counts)
    return int(any(well < arguments.n for _, well in counts.values()))


if __name__ == "__main__":
    raise SystemExit(main())
