"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

# Before torch is imported: small operations are faster on one thread, and bits do not depend on the machine's cores.
os.environ["OMP_NUM_THREADS"] = "1"

DEFAULT_REAL_SLICES = Path(__file__).resolve().parents[2] / "shared" / "data"


def _real_folder(name: str) -> Path:
    folder = Path(os.environ.get("MMRAN_REAL_SLICES", DEFAULT_REAL_SLICES)) / name
    if not any(folder.glob("*.mat")):
        pytest.skip(f"no real slices in {folder}; set MMRAN_REAL_SLICES to the folder that holds {name}/")
    return folder


@pytest.fixture(scope="session")
def real_slices() -> Path:
    """The folder of 2770 real slices at half size."""
    return _real_folder("cheng-half")


@pytest.fixture(scope="session")
def real_full_sample() -> Path:
    """The folder of 72 real slices at full size."""
    return _real_folder("cheng-full-sample")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data/slices.h5 and splits/{paper,patient}.csv of a few synthetic 32-pixel slices."""
    from mmran.cli import main

    folder = tmp_path_factory.mktemp("tiny")
    store = str(folder / "data" / "slices.h5")
    phantom = str(folder / "phantom")
    assert main(["phantom", "--output", phantom, "--patients", "15", "--size", "32", "--seed", "3"]) == 0
    assert main(["convert", phantom, "--output", store]) == 0
    for protocol in ("paper", "patient"):
        split = str(folder / "splits" / f"{protocol}.csv")
        assert main(["split", store, "--protocol", protocol, "--output", split]) == 0
    return folder
