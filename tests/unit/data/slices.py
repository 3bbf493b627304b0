"""Small slices for tests."""

from pathlib import Path

import numpy as np

from mmran.data.cheng import Slice


def make_slice(number: int, *, label: int = 1, pid: str = "100360", side: int = 8, brightest: int = 200) -> Slice:
    rng = np.random.default_rng(number)
    image = rng.integers(0, brightest, (side, side)).astype(np.int16)
    image[0, 0] = brightest
    mask = np.zeros((side, side), dtype=np.uint8)
    mask[2:4, 1 : 2 + number % 4] = 1
    border = np.array([[0.5, 1.5], [1.5, 1.5], [1.5, 3.5], [0.5, 3.5]]) + number
    return Slice(number, label, pid, image, mask, border)


def left_behind(output: Path) -> list[str]:
    return sorted(path.name for path in output.parent.iterdir()) if output.parent.is_dir() else []
