"""Whether images lie as their masks do is told by the contrast of the images under the masks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmran.data.audit import audit
from mmran.data.audit_text import render
from mmran.data.cheng import Slice, write_slice
from mmran.data.convert import convert
from mmran.data.store import SliceStore


def make_slice(number: int, transposed: bool = False, height: int = 16) -> Slice:
    """A bright tumor, rows 2 to 5 and columns 8 to 11, on noise."""
    image = np.random.default_rng(number).integers(0, 50, (height, 16)).astype(np.int16)
    mask = np.zeros((height, 16), dtype=np.uint8)
    mask[2:6, 8:12] = 1
    image[mask == 1] += 100
    border = np.array([[7.5, 1.5], [11.5, 1.5], [11.5, 5.5], [7.5, 5.5]])
    return Slice(number, 1, "100360", image.T if transposed else image, mask, border)


def store_of(folder: Path, is_transposed: Callable[[int], bool], n: int = 20) -> SliceStore:
    for number in range(1, n + 1):
        write_slice(folder, make_slice(number, is_transposed(number)))
    return convert([folder], folder / "store" / "slices.h5")


def test_images_that_lie_as_their_masks_do_have_contrast_under_them(tmp_path: Path) -> None:
    findings = audit(store_of(tmp_path, lambda number: False))
    assert findings.contrast.orientation == "right"
    assert (findings.contrast.share_upright, findings.contrast.n_compared) == (1, 20)
    assert findings.contrast.median > 1.5 > 0.5 > findings.contrast.transposed_median
    text = " ".join(render(findings).split())
    assert "ok images lie the right way (image against mask: contrast" in text
    assert "!!" not in text


def test_transposed_images_are_a_finding_though_masks_fit_their_borders(tmp_path: Path) -> None:
    findings = audit(store_of(tmp_path, lambda number: True))
    assert findings.borders.orientation == "right"
    assert findings.contrast.orientation == "transposed"
    assert "!!  images look transposed against their masks" in render(findings)


def test_transposed_images_among_upright_ones_are_a_finding(tmp_path: Path) -> None:
    findings = audit(store_of(tmp_path, lambda number: number % 2 == 0))
    assert findings.contrast.orientation == "mixed"
    assert findings.contrast.share_upright == 0.5
    assert "!!  some images look transposed against their masks" in render(findings)


def test_a_few_slices_tell_nothing(tmp_path: Path) -> None:
    findings = audit(store_of(tmp_path, lambda number: True, n=9))
    assert findings.contrast.orientation == "unknown"
    assert "too few slices to tell" in render(findings)


def test_slices_that_are_not_square_are_not_compared(tmp_path: Path) -> None:
    write_slice(tmp_path, make_slice(1, height=12))
    contrast = audit(convert([tmp_path], tmp_path / "store" / "slices.h5")).contrast
    assert (contrast.n_compared, contrast.orientation) == (0, "unknown")


@pytest.mark.real
def test_real_images_lie_as_their_masks_do(real_full_sample: Path, tmp_path: Path) -> None:
    contrast = audit(convert([real_full_sample], tmp_path / "slices.h5")).contrast
    assert contrast.orientation == "right"
    assert contrast.share_upright > 0.9
