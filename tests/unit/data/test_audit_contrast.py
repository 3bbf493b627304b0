"""The contrast of images under their masks tells whether both have the same orientation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmran.data.audit import audit
from mmran.data.audit_text import render
from mmran.data.cheng import Slice, write_slice
from mmran.data.contrast import STORED, TURNS, contrasts
from mmran.data.convert import convert
from mmran.data.store import SliceStore

TURNED: dict[str, Callable[[Any], Any]] = {
    "transposed": lambda image: image.T,
    "flipped left to right": np.fliplr,
    "flipped upside down": np.flipud,
    "rotated by 180 degrees": lambda image: np.rot90(image, 2),
    "rotated by 90 degrees clockwise": lambda image: np.rot90(image, -1),
    "rotated by 90 degrees counterclockwise": np.rot90,
    "transposed along the other diagonal": lambda image: np.rot90(image.T, 2),
}


def make_slice(number: int, turn: str | None = None, height: int = 24) -> Slice:
    """A bright tumor, rows 2 to 5 and columns 13 to 16, on noise; no turn makes it overlap itself."""
    image = np.random.default_rng(number).integers(0, 50, (height, 24)).astype(np.int16)
    mask = np.zeros((height, 24), dtype=np.uint8)
    mask[2:6, 13:17] = 1
    image[mask == 1] += 100
    border = np.array([[12.5, 1.5], [16.5, 1.5], [16.5, 5.5], [12.5, 5.5]])
    return Slice(number, 1, "100360", TURNED[turn](image) if turn else image, mask, border)


def store_of(folder: Path, turn: Callable[[int], str | None], n: int = 20, height: int = 24) -> SliceStore:
    folder.mkdir(exist_ok=True)
    for number in range(1, n + 1):
        write_slice(folder, make_slice(number, turn(number), height))
    return convert([folder], folder / "store" / "slices.h5")


def test_images_that_lie_as_their_masks_do_have_contrast_under_them(tmp_path: Path) -> None:
    findings = audit(store_of(tmp_path, lambda number: None))
    assert findings.contrast.orientation == "right"
    assert (findings.contrast.share_upright, findings.contrast.n_compared) == (1, 20)
    assert findings.contrast.median > 1.5 > 0.5 > findings.contrast.turned_median
    text = " ".join(render(findings).split())
    assert "ok images and masks have the same orientation (image against mask: contrast" in text
    assert "!!" not in text


@pytest.mark.parametrize("turn", TURNS)
def test_turned_images_are_a_finding_though_masks_fit_their_borders(turn: str, tmp_path: Path) -> None:
    findings = audit(store_of(tmp_path, lambda number: turn))
    assert findings.borders.orientation == "right"
    assert findings.contrast.orientation == "turned"
    assert f"!! images look {turn} against their masks" in " ".join(render(findings).split())


@pytest.mark.parametrize("turn", TURNS)
def test_turned_images_among_upright_ones_are_a_finding(turn: str, tmp_path: Path) -> None:
    findings = audit(store_of(tmp_path, lambda number: turn if number % 2 else None))
    assert findings.contrast.orientation == "mixed"
    assert findings.contrast.share_upright == 0.5
    assert f"!! some images look {turn} against their masks" in " ".join(render(findings).split())


def test_a_few_slices_tell_nothing(tmp_path: Path) -> None:
    findings = audit(store_of(tmp_path, lambda number: TURNS[0], n=9))
    assert findings.contrast.orientation == "unknown"
    assert "too few slices to tell" in render(findings)


def test_slices_that_are_not_square_are_compared_with_turns_that_keep_their_sides(tmp_path: Path) -> None:
    assert audit(store_of(tmp_path / "upright", lambda number: None, height=16)).contrast.orientation == "right"
    turn = "flipped upside down"
    contrast = audit(store_of(tmp_path / "flipped", lambda number: turn, height=16)).contrast
    assert (contrast.turn, contrast.orientation) == (turn, "turned")


@pytest.mark.real
def test_real_images_lie_as_their_masks_do(real_full_sample: Path, tmp_path: Path) -> None:
    store = convert([real_full_sample], tmp_path / "slices.h5")
    found = [contrasts(*store.read(number)) for number in store.index["slice"]]
    assert np.mean([one[STORED] > one["transposed"] for one in found]) > 0.9
    assert audit(store).contrast.orientation == "right"
