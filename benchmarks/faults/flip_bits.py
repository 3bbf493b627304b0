"""Flip one random bit of a file of finished results, and see who notices.

    python benchmarks/faults/flip_bits.py [--n 20] [--seed 0]

A flip counts as noticed if the verdict that `snakemake -n` and `mmran why` print names the file, or if the stage that
reads the file refuses it or reads the same values. Prints one table line for each kind of file; exits with 1 if a flip
goes unnoticed.
"""

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tiny import EXPERIMENT, PROTOCOL, ROOT, digests, make_config, run, show, snakemake

sys.path.insert(0, str(ROOT / "src"))

from mmran.config.configuration import Config
from mmran.config.load import load
from mmran.config.reruns import judge
from mmran.data.store import SliceStore
from mmran.errors import UserError
from mmran.evaluation.predictions import read_predictions
from mmran.training import checkpoint

PLACE = f"results/experiments/{EXPERIMENT}/{PROTOCOL}"


def flip(path: Path, draw: random.Random) -> None:
    """Flip one bit in place."""
    with path.open("r+b") as file:
        place = draw.randrange(path.stat().st_size)
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1 << draw.randrange(8)]))


def verdict(_path: Path) -> object:
    """What would run again."""
    return sorted(judge(Config.checked(load(["config.yaml"]))).reasons)


def slices(path: Path) -> object:
    """Every slice, as training and prediction read it."""
    with SliceStore(path) as store:
        return [(image.tobytes(), mask.tobytes()) for image, mask in map(store.read, store.index["slice"])]


def predictions(path: Path) -> object:
    """Every probability, as evaluation reads it."""
    with read_predictions(path) as found:
        places = zip(found.cases["group"], found.cases["row"], strict=True)
        masks = [found.stored_probability(group, row).tobytes() for group, row in places]
        return found.cases.to_csv(), masks


def latest_checkpoint(path: Path) -> object:
    """What a training continues from."""
    return repr(checkpoint.read(path))


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "weights, seen by the verdict": (f"{PLACE}/trials/*/weights.safetensors", verdict),
    "predictions, seen by the verdict": (f"{PLACE}/predictions.h5", verdict),
    "cases, seen by the verdict": (f"{PLACE}/cases.csv", verdict),
    "slices, seen by the verdict": ("results/data/slices.h5", verdict),
    "records, seen by the verdict": (f"results/records/train/{EXPERIMENT}/{PROTOCOL}.json", verdict),
    "slices, read": ("results/data/slices.h5", slices),
    "predictions, read": (f"{PLACE}/predictions.h5", predictions),
    "checkpoint, read": ("some.ckpt", latest_checkpoint),
}
"""What is damaged -> pattern of the file, and who reads it."""


def is_noticed(path: Path, reader: Callable[[Path], object], sound: object) -> bool:
    """Whether a damaged file is refused, or named by the verdict, or read as before."""
    try:
        found = reader(path)
    except UserError as error:
        return "\n" not in str(error)
    return found != sound if reader is verdict else found == sound


def main() -> int:
    """Flip bits in every kind of file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=20, help="number of flips in each kind of file")
    parser.add_argument("--seed", type=int, default=0, help="seed of the places")
    arguments = parser.parse_args()
    draw, counts = random.Random(arguments.seed), dict[str, tuple[int, int]]()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        make_config(Path(name))
        run(Path(name), *snakemake("--", "paper"))
        checkpoint.write(Path("some.ckpt"), {"epoch": 3, "text": "x" * 10_000})
        assert digests(Path("results"), "records/**/*.json"), "nothing was made"
        for kind, (pattern, reader) in READERS.items():
            path = next(Path().glob(pattern))
            whole, sound, noticed = path.read_bytes(), reader(path), 0
            for _ in range(arguments.n):
                flip(path, draw)
                noticed += is_noticed(path, reader, sound)
                path.write_bytes(whole)
            counts[kind] = (arguments.n, noticed)
        os.chdir("/")
    show("one flipped bit", counts)
    return int(any(noticed < tried for tried, noticed in counts.values()))


if __name__ == "__main__":
    raise SystemExit(main())
