"""SIGKILL a training at random instants, start it again, and compare its weights and history with an undisturbed one's.

    python benchmarks/faults/kill_training.py [--n 5] [--seed 0]

Each attempt is killed up to three times. Prints one table line; exits with 1 if any byte differs.
"""

import argparse
import random
import shutil
import signal
import tempfile
import time
from os import killpg
from pathlib import Path

from tiny import EXPERIMENT, PROTOCOL, digests, make_config, run, show, snakemake, start

RESULTS = ("out/trials/*/weights.safetensors", "out/history.csv")


def command(attempt: str) -> tuple[str, ...]:
    """The command that trains into a folder of its own."""
    return (
        *("mmran", "train", "--spec", f"results/specs/experiments/{EXPERIMENT}.json", "--no-ray"),
        *("--store", "results/data/slices.h5", "--split", f"results/splits/{PROTOCOL}.csv"),
        *("--output", f"{attempt}/out", "--work", f"{attempt}/work", "--threads", "1"),
    )


def killed(folder: Path, attempt: str, seconds: float) -> bool:
    """Train for some seconds and kill; False if it had ended by then."""
    process = start(folder, *command(attempt))
    time.sleep(seconds)
    is_alive = process.poll() is None
    if is_alive:
        killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return is_alive


def main() -> int:
    """Run the attempts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=5, help="number of attempts")
    parser.add_argument("--seed", type=int, default=0, help="seed of the instants")
    arguments = parser.parse_args()
    draw, well, kills = random.Random(arguments.seed), 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_config(folder)
        run(folder, *snakemake("--", f"results/splits/{PROTOCOL}.csv"))
        began = time.monotonic()
        run(folder, *command("undisturbed"))
        seconds = time.monotonic() - began
        expected = digests(folder / "undisturbed", *RESULTS)
        for i in range(arguments.n):
            attempt = f"attempt{i}"
            for _ in range(draw.randint(1, 3)):
                kills += killed(folder, attempt, draw.uniform(0, seconds))
            run(folder, *command(attempt))
            well += digests(folder / attempt, *RESULTS) == expected
            shutil.rmtree(folder / attempt)
    show("SIGKILL at a random instant", {f"training ({kills} kills)": (arguments.n, well)})
    return int(well < arguments.n)


if __name__ == "__main__":
    raise SystemExit(main())
