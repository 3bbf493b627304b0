"""Synthetic slices: the same for the same seed, different by class, in the layout of the data set."""

import os
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from mmran.data.cheng import Slice, border_mask, read_cvind, read_slice
from mmran.data.convert import convert
from mmran.data.phantom.anatomy import Canvas, Head, draw_head
from mmran.data.phantom.lesion import GLIOMA, Lesion, draw_lesion
from mmran.data.phantom.patients import draw_patient, patient, write_phantom
from mmran.data.pids import pid_family
from mmran.errors import UserError


def drawn(n_patients: int, size: int = 64, seed: int = 1029) -> list[Slice]:
    slices: list[Slice] = []
    for k in range(n_patients):
        slices += draw_patient(patient(seed, k), seed, size, first_number=len(slices) + 1)
    return slices


@pytest.fixture(scope="module")
def slices() -> list[Slice]:
    return drawn(36)


def test_the_written_files_are_what_was_drawn(tmp_path: Path) -> None:
    folder = tmp_path / "phantom"
    n_slices = write_phantom(folder, n_patients=3, size=32)
    expected = drawn(3, size=32)
    assert n_slices == len(expected)
    assert len(list(folder.iterdir())) == n_slices + 1
    for item in expected:
        read = read_slice(folder / f"{item.number}.mat")
        assert (read.label, read.pid) == (item.label, item.pid)
        np.testing.assert_array_equal(read.image, item.image)
        np.testing.assert_array_equal(read.mask, item.mask)


def test_every_file_is_on_disk_before_the_folder_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append((tmp_path / "phantom").exists()))
    n_slices = write_phantom(tmp_path / "phantom", n_patients=1, size=32)
    # Every slice, cvind.mat and their folder first; then the folder around them.
    assert flushed == [False] * (n_slices + 2) + [True]


def test_the_same_seed_gives_the_same_store(tmp_path: Path) -> None:
    digests = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_phantom(tmp_path / name, n_patients=3, size=32, seed=seed)
        digests.append(convert([tmp_path / name], tmp_path / name / "slices.h5").digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_patient_looks_the_same_however_many_there_are(tmp_path: Path) -> None:
    write_phantom(tmp_path / "few", n_patients=2, size=32)
    write_phantom(tmp_path / "more", n_patients=5, size=32)
    for path in (tmp_path / "few").glob("[0-9]*.mat"):
        assert path.read_bytes() == (tmp_path / "more" / path.name).read_bytes()


def test_every_patient_has_several_slices_and_one_class(slices: list[Slice]) -> None:
    for _, group in groupby(slices, key=lambda item: item.pid):
        members = list(group)
        assert 3 <= len(members) <= 7
        assert len({item.label for item in members}) == 1


def test_repeat_examinations_are_gliomas_of_one_family(slices: list[Slice]) -> None:
    families: dict[str, set[str]] = {}
    for item in slices:
        families.setdefault(pid_family(item.pid), set()).add(item.pid)
    repeated = {name: pids for name, pids in families.items() if len(pids) > 1}
    # Of every twelve patients the last but one is the eighth again: three pairs among 36.
    assert len(repeated) == 3
    assert all(pids == {name, f"{name}B"} and name.startswith("MR") for name, pids in repeated.items())
    assert all((item.label == 2) == item.pid.startswith("MR") for item in slices)


def test_a_few_slices_have_half_the_size(slices: list[Slice]) -> None:
    odd = {item.pid for item in slices if item.image.shape == (32, 32)}
    assert odd == {"P00005", "P00029"}
    assert all(item.image.shape in ((64, 64), (32, 32)) for item in slices)


def test_masks_are_the_filled_border_polygons(slices: list[Slice]) -> None:
    for item in slices:
        assert item.mask.any()
        assert item.mask.shape == item.image.shape
        np.testing.assert_array_equal(item.mask, border_mask(item.border, item.image.shape))


def test_no_mask_is_empty_on_the_coarsest_grid() -> None:
    assert all(item.mask.any() for item in drawn(24, size=32))


@pytest.mark.slow
def test_some_gliomas_have_a_dark_core_that_belongs_to_the_mask() -> None:
    darkest = []
    for item in drawn(24, size=128):
        if item.label == 2:
            core = ndimage.binary_erosion(item.mask, iterations=3)
            rim = item.mask.astype(bool) & ~core
            if core.sum() >= 9:
                darkest.append(np.median(item.image[core]) / np.median(item.image[rim]))
    assert min(darkest) < 0.5
    assert max(darkest) > 0.8


def test_classes_differ_in_place_and_brightness(slices: list[Slice]) -> None:
    """A meningioma lies outwards, a pituitary tumor in the middle; a meningioma is brightest."""
    distance: dict[int, list[float]] = {1: [], 2: [], 3: []}
    contrast: dict[int, list[float]] = {1: [], 2: [], 3: []}
    for item in slices:
        side = item.image.shape[0]
        center = np.argwhere(item.mask).mean(axis=0) / side - 0.5
        distance[item.label].append(float(np.hypot(*center)))
        contrast[item.label].append(float(item.image[item.mask == 1].mean() / np.median(item.image)))
    assert np.median(distance[1]) > np.median(distance[2]) > np.median(distance[3])
    assert np.median(contrast[1]) > np.median(contrast[3]) > np.median(contrast[2])


def test_published_folds_keep_patients_but_tear_a_family(tmp_path: Path) -> None:
    write_phantom(tmp_path / "phantom", n_patients=12, size=32)
    folds = read_cvind(tmp_path / "phantom" / "cvind.mat")
    of_pid: dict[str, set[int]] = {}
    for item in drawn(12, size=32):
        of_pid.setdefault(item.pid, set()).add(folds[item.number])
    assert all(len(of_it) == 1 for of_it in of_pid.values())
    assert of_pid["MR900007"] != of_pid["MR900007B"]


def test_the_core_of_a_hollow_tumor_looks_healthy_and_belongs_to_it() -> None:
    canvas, rng = Canvas(64), np.random.default_rng(0)
    head = Head.drawn(rng)
    # Radius .3 of half the field of view, 9.6 pixels; its core 6.7.
    lesion = Lesion(GLIOMA, np.zeros(2), np.full(48, 0.3), core=0.7, hollow=True)
    before = draw_head(canvas, head, rng, base=False, level=0)
    image = before.copy()
    draw_lesion(canvas, image, head, lesion, rng)
    border = head.to_pixels(lesion.outline(), canvas)
    mask = border_mask(border, (64, 64)) != 0
    core = ndimage.binary_erosion(mask, iterations=6)
    rim = mask & ~ndimage.binary_erosion(mask, iterations=2)
    assert core.sum() > 20
    np.testing.assert_array_equal(image[core], before[core])
    assert np.abs(image - before)[rim].mean() > 0.1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"n_patients": 0}, "patients 0: expected at least 1"),
        ({"size": 33}, "size 33: expected an even number"),
        ({"size": 30}, "size 30: expected an even number of pixels from 32"),
        ({"seed": -1}, "seed -1: expected a whole number from 0"),
    ],
)
def test_numbers_out_of_range_are_named(tmp_path: Path, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        write_phantom(tmp_path / "phantom", **options)
    assert not (tmp_path / "phantom").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "1.mat").write_text("precious")
    with pytest.raises(UserError, match="is not empty; remove it or choose another folder"):
        write_phantom(tmp_path, n_patients=1, size=32)
    assert (tmp_path / "1.mat").read_text() == "precious"


def test_an_interrupted_drawing_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_phantom(tmp_path / "phantom", n_patients=2, size=32, on_progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_phantom(tmp_path / "file" / "phantom", n_patients=1, size=32)
