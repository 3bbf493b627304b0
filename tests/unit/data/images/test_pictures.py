"""Pictures: every gray mode, color that is gray, pages of a tiff, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmran.data.images.base import ReadOptions
from mmran.data.images.find import find_images
from mmran.data.images.pictures import Picture
from mmran.data.phantom.patients import write_phantom
from mmran.errors import UserError

GRAY = np.arange(48, dtype=np.uint8).reshape(6, 8)


def read(path: Path) -> np.ndarray:
    file = Picture(path, ReadOptions())
    assert file.open() == 1
    return file.read(0).pixels


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp"])
@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_gray_pictures_give_their_gray_values(name: str, mode: str, tmp_path: Path) -> None:
    Image.fromarray(GRAY).convert(mode).save(tmp_path / name)
    np.testing.assert_array_equal(read(tmp_path / name), GRAY)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_deep_pictures_keep_their_values(dtype: type, tmp_path: Path) -> None:
    deep = GRAY.astype(dtype) * 1000
    Image.fromarray(deep).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), deep)


def test_a_gray_photograph_as_jpg_is_gray(tmp_path: Path) -> None:
    smooth = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    Image.fromarray(np.repeat(smooth[:, :, None], 3, axis=2)).save(tmp_path / "a.jpg", quality=80)
    assert np.abs(read(tmp_path / "a.jpg").astype(int) - smooth).max() <= 8


def test_pages_of_a_tiff_are_slices_and_so_are_those_of_its_mask(tmp_path: Path) -> None:
    pages = [Image.fromarray(GRAY + np.uint8(i)) for i in range(3)]
    pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
    file = Picture(tmp_path / "a.tiff", ReadOptions())
    assert file.open() == 3
    np.testing.assert_array_equal(file.read(2).pixels, GRAY + 2)
    file.write_masks([10 * i < GRAY for i in range(3)], tmp_path / "out" / "a")
    with Image.open(tmp_path / "out" / "a_mask.tiff") as written:
        for i in range(3):
            written.seek(i)
            np.testing.assert_array_equal(np.asarray(written) != 0, 10 * i < GRAY)


def test_a_color_photograph_is_refused_with_its_difference(tmp_path: Path) -> None:
    color = np.repeat(GRAY[:, :, None], 3, axis=2)
    color[2, 3, 0] += 100
    Image.fromarray(color).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png: is a color picture \(channels differ by up to 100 of 255\)"):
        read(tmp_path / "a.png")


def test_images_that_differ_in_their_ending_write_different_files(tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp"):
        Image.fromarray(GRAY).save(tmp_path / name)
    found = find_images([tmp_path], tmp_path / "out", ReadOptions()).images
    assert {one.base.name for one in found} == {"a-png", "a-bmp"}


def test_two_folders_with_the_same_names_need_two_outputs(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        Image.fromarray(GRAY).save(tmp_path / folder / "a.png")
    with pytest.raises(
        UserError, match=r"two/a\.png: writes the same files as .*one/a\.png; segment them into separate"
    ):
        find_images([tmp_path / "one", tmp_path / "two"], tmp_path / "out", ReadOptions())


def test_outputs_inside_the_input_folder_are_no_inputs(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    Image.fromarray(GRAY).save(tmp_path / "out" / "a_mask.png")
    (tmp_path / "notes.txt").touch()
    search = find_images([tmp_path], tmp_path / "out", ReadOptions())
    assert [one.name for one in search.images] == ["a.png"]
    assert search.notes() == ["1 file skipped, not images (.txt)"]


def test_the_published_folds_are_no_image(tmp_path: Path) -> None:
    write_phantom(tmp_path, n_patients=3, size=32)
    search = find_images([tmp_path], tmp_path / "out", ReadOptions())
    assert len(search.images) == len(list(tmp_path.glob("[0-9]*.mat")))
    assert search.notes() == ["1 file skipped, not images (cvind.mat)"]
