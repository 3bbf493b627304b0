"""What checking every slice's checksum adds to loading slices: `python benchmarks/slice_checks.py FOLDER`.

FOLDER holds N.mat files. Takes seconds. Quote the ratio; milliseconds depend on the machine and the moment.
"""

import argparse
import tempfile
import time
from pathlib import Path

from mmran.data.batches import ResidentSlices
from mmran.data.convert import convert
from mmran.data.store import SliceStore

REPEATS = 5


class UncheckedStore(SliceStore):
    """A store that trusts its pixels."""

    def read(self, number, *, check=False):  # type: ignore[no-untyped-def]
        return super().read(number, check=False)


def seconds(store: SliceStore, size: int, fit: str) -> float:
    """CPU time of the fastest of several loads."""
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        numbers = store.index["slice"].to_numpy()
        ResidentSlices.load(store, numbers, size=size, fit=fit, percentiles=(1, 99), device="cpu")
        times.append(time.process_time() - began)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as temporary:
        store = convert([folder], Path(temporary) / "slices.h5")
        largest = int(store.index[["height", "width"]].to_numpy().max())
        for size, fit in ((largest, "pad"), (largest // 2, "resample")):
            checked, plain = seconds(store, size, fit), seconds(UncheckedStore(store.path), size, fit)
            added_ms = (checked - plain) / len(store) * 1e3
            print(f"{size} px, {fit}: checked / unchecked {checked / plain:.2f}, {added_ms:.2f} ms a slice")


if __name__ == "__main__":
    main()
