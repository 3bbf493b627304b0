"""The slice store: it gives back what was converted, and refuses what is not whole."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from mmran.data.cheng import read_slice, write_slice
from mmran.data.convert import convert
from mmran.data.store import INDEX_NAME, SliceStore, narrow
from mmran.errors import UserError
from tests.unit.data.slices import make_slice


def test_a_store_gives_back_every_slice(folder: Path, output: Path) -> None:
    with convert([folder], output) as store:
        assert len(store) == 4
        for number in (2, 3, 10, 11):
            original = read_slice(folder / f"{number}.mat")
            image, mask = store.read(number)
            np.testing.assert_array_equal(image, original.image)
            np.testing.assert_array_equal(mask, original.mask)
            np.testing.assert_array_equal(store.border(number), original.border)


def test_the_index_has_one_line_per_slice_in_the_order_of_the_numbers(folder: Path, output: Path) -> None:
    index = convert([folder], output, field_of_view_mm=16).index
    assert (output.parent / INDEX_NAME).read_text().splitlines() == [
        "slice,label,pid,family,height,width,spacing_mm,tumor_px,group,row",
        "2,2,MR040240,MR040240,8,8,2.0,6,8x8,0",  # mask of two rows and 1 + 2 % 4 columns
        "3,2,MR040240B,MR040240,4,4,4.0,6,4x4,0",  # of 1 + 3 % 4 columns, of which three fit
        "10,1,100360,100360,8,8,2.0,6,8x8,1",
        "11,1,100360,100360,8,8,2.0,8,8x8,2",
    ]
    assert index["pid"].tolist()[2] == "100360"  # a text, not a number


def test_groups_are_contiguous_and_in_index_order(folder: Path, output: Path) -> None:
    store = convert([folder], output)
    images, masks = store.read_group("8x8")
    assert images.shape == masks.shape == (3, 8, 8)
    for row, number in enumerate((2, 10, 11)):
        np.testing.assert_array_equal(images[row], store.read(number)[0])
    with h5py.File(output) as file:
        assert file["8x8/image"].chunks is None
        assert file["8x8/mask"].dtype == np.uint8
        np.testing.assert_array_equal(file["8x8/image"][1], store.read(10)[0])


def test_the_spacing_follows_from_the_field_of_view(folder: Path, output: Path) -> None:
    write_slice(folder, make_slice(12, side=512))
    index = convert([folder], output).index.set_index("slice")
    assert index.loc[12, "spacing_mm"] == pytest.approx(0.49)


def test_published_folds_are_kept_per_slice(folder: Path, output: Path) -> None:
    # cvind.mat lists 5 4 3 2 1 5 4 3 2 1 2 for slices 1 to 11.
    assert convert([folder], output).cvind == {2: 4, 3: 3, 10: 1, 11: 2}


def test_without_a_fold_list_no_fold_is_known(folder: Path, output: Path) -> None:
    (folder / "cvind.mat").unlink()
    store = convert([folder], output)
    assert store.cvind == {}
    assert store.folds.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 255, "uint8"),
        (0, 256, "int16"),
        (-1, 255, "int16"),
        (0, 32767, "int16"),
        (0, 32768, "uint16"),
        (-1, 32768, "int32"),
    ],
)
def test_intensities_take_the_smallest_type_that_holds_them(low: int, high: int, expected: str) -> None:
    image = np.array([[low, high]], dtype=np.int64)
    assert narrow(image).dtype == expected
    assert narrow(image.astype(np.float64)).dtype == expected
    np.testing.assert_array_equal(narrow(image), image)


def test_fractions_are_kept_exactly() -> None:
    assert narrow(np.array([[0.5, 3.0]])).dtype == np.float32
    assert narrow(np.array([[0.1, 3.0]])).dtype == np.float64


def test_one_type_serves_the_whole_store(folder: Path, output: Path) -> None:
    assert convert([folder], output).image_type == np.uint8
    write_slice(folder, make_slice(12, brightest=1000))
    store = convert([folder], output)
    assert store.image_type == np.int16
    assert store.read(3)[0].dtype == np.int16
    np.testing.assert_array_equal(store.read(12)[0], make_slice(12, brightest=1000).image)


def test_the_digest_tells_content_and_nothing_else(folder: Path, output: Path, tmp_path: Path) -> None:
    digest = convert([folder], output).digest
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    assert convert([moved], tmp_path / "other" / "name.h5").digest == digest
    write_slice(moved, make_slice(12, brightest=1000))  # widens the type in which the others are stored
    (moved / "12.mat").unlink()
    assert convert([moved], output).digest == digest
    item = make_slice(11)
    item.image[7, 7] += 1
    write_slice(moved, item)
    assert convert([moved], output).digest != digest


def test_a_store_survives_a_fork_and_threads(folder: Path, output: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    store = convert([folder], output)
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(lambda _: store.read(11)[0], range(50)))
    assert all(np.array_equal(image, images[0]) for image in images)


def test_an_absent_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.h5: no such store"):
        SliceStore(tmp_path / "absent.h5")


@pytest.mark.parametrize("kept", [0, 100, 3000, -1])
def test_a_truncated_store_is_named(folder: Path, output: Path, kept: int) -> None:
    convert([folder], output)
    output.write_bytes(output.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"slices\.h5: is not a whole slice store"):
        SliceStore(output)


def test_a_foreign_hdf5_file_is_named(folder: Path) -> None:
    with pytest.raises(UserError, match="is not a slice store of format 2"):
        SliceStore(folder / "2.mat")


def test_an_index_of_another_store_is_refused(folder: Path, output: Path) -> None:
    convert([folder], output)
    index = output.parent / INDEX_NAME
    index.write_text(index.read_text().replace("10,1,", "10,3,"))
    with pytest.raises(UserError, match=r"index\.csv: is not the index that was written with slices\.h5"):
        SliceStore(output)
    index.unlink()
    with pytest.raises(UserError, match=r"index\.csv: no such file"):
        SliceStore(output)


def test_a_slice_that_is_not_there_is_named(folder: Path, output: Path) -> None:
    with pytest.raises(UserError, match="holds no slice 4"):
        convert([folder], output).read(4)


@pytest.mark.real
def test_the_real_sample_converts_without_loss(real_full_sample: Path, output: Path) -> None:
    with convert([real_full_sample], output) as store:
        assert len(store) == 72
        assert store.groups == ["256x256", "512x512"]
        assert len(store.cvind) == 72
        for number in store.index["slice"][::9]:
            original = read_slice(real_full_sample / f"{number}.mat")
            image, mask = store.read(number)
            np.testing.assert_array_equal(image, original.image)
            np.testing.assert_array_equal(mask, original.mask)


@pytest.mark.parametrize("what", ["image", "mask"])
def test_a_slice_that_changed_after_conversion_is_refused_when_it_is_read(
    folder: Path, output: Path, what: str
) -> None:
    convert([folder], output)
    with h5py.File(output, "r+") as file:
        file[f"8x8/{what}"][1, 2, 3] ^= 1  # row 1 of the group is slice 10
    store = SliceStore(output)
    store.read(2)
    with pytest.raises(UserError, match=r"slices\.h5: slice 10 changed after conversion; run mmran convert again"):
        store.read(10)
    assert store.read(10, check=False)[0].shape == (8, 8)
