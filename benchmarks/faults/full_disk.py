"""Let a stage run out of disk at a random byte, then give it room, and compare what it makes.

    python benchmarks/faults/full_disk.py [--n 2] [--seed 0]

The kernel lets no file grow beyond a limit (RLIMIT_FSIZE), which looks like a full disk to a stage. A stage
passes if it ends with one line that names a file, leaves no part of its results, and makes the same bytes afterward.
Prints one table line for each stage; exits with 1 if one fails.
"""

import argparse
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tiny import EXPERIMENT, PROTOCOL, digests, environment, make_config, run, show, snakemake

PLACE = f"results/experiments/{EXPERIMENT}/{PROTOCOL}"
INPUTS = ("--store", "results/data/slices.h5", "--split", f"results/splits/{PROTOCOL}.csv")
STAGES: dict[str, tuple[str, ...]] = {
    "convert": ("results/phantom", "--output", "new/slices.h5"),
    "split": (
        "results/data/slices.h5",
        *("--spec", f"results/specs/protocols/{PROTOCOL}.json", "--output", f"new/{PROTOCOL}.csv"),
    ),
    "train": (
        *("--spec", f"results/specs/experiments/{EXPERIMENT}.json", *INPUTS, "--output", "new"),
        *("--work", "work", "--threads", "1", "--no-ray"),
    ),
    "predict": ("--spec", f"{PLACE}/spec.json", *INPUTS, "--trained", PLACE, "--output", "new/predictions.h5"),
    "evaluate": (
        f"{PLACE}/predictions.h5",
        *INPUTS,
        *("--cases", "new/cases.csv", "--summary", "new/summary.json"),
    ),
    "table": (
        *("--spec", "results/specs/tables/table1.json", "--results", "results"),
        *("--protocol", PROTOCOL, "--output", "new/table1.csv"),
    ),
}
MADE = ("**/*.h5", "**/*.csv", "**/*.md", "**/*.safetensors")
"""Files with the same bytes whenever they are made; records also hold times."""


def limited(folder: Path, stage: str, n_bytes: int) -> tuple[int, str]:
    """Run a stage with a limit on the size of files; returns its status and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "mmran", stage, *STAGES[stage]],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes)),
    )
    return done.returncode, done.stdout


def clear(folder: Path) -> None:
    """Remove what a stage made."""
    for name in ("new", "work"):
        shutil.rmtree(folder / name, ignore_errors=True)


def main() -> int:
    """Run every stage out of disk."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=2, help="number of full disks for each stage")
    parser.add_argument("--seed", type=int, default=0, help="seed of the limits")
    arguments = parser.parse_args()
    draw, counts = random.Random(arguments.seed), dict[str, tuple[int, int]]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_config(folder)
        run(folder, *snakemake())
        for stage in STAGES:
            clear(folder)
            run(folder, "mmran", stage, *STAGES[stage])
            expected = digests(folder / "new", *MADE)
            largest = max(path.stat().st_size for path in (folder / "new").rglob("*") if path.is_file())
            well = 0
            for _ in range(arguments.n):
                clear(folder)
                status, said = limited(folder, stage, draw.randrange(largest))
                last = (said.strip().splitlines() or [""])[-1]
                is_line = status == 1 and last.startswith(f"mmran {stage}: ") and "Traceback" not in said
                whole = digests(folder / "new", *MADE)
                is_whole = all(expected.get(path) == digest for path, digest in whole.items())
                run(folder, "mmran", stage, *STAGES[stage])
                is_same = digests(folder / "new", *MADE) == expected
                if not (is_line and is_whole and is_same):
                    print(f"{stage}: one line: {is_line}, no part left: {is_whole}, same afterwards: {is_same}\n{said}")
                well += is_line and is_whole and is_same
            counts[stage] = (arguments.n, well)
    show("disk full at a random byte", counts)
    return int(any(well < tried for tried, well in counts.values()))


if __name__ == "__main__":
    raise SystemExit(main())
