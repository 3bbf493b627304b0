"""Conversion into a slice store: what is in it, and what happens to every bad input."""

import contextlib
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from mmran.data import store_writer
from mmran.data.cheng import Slice, read_slice, write_cvind, write_slice
from mmran.data.convert import convert
from mmran.data.store import INDEX_NAME, SliceStore, narrow
from mmran.errors import UserError


def make_slice(number: int, *, label: int = 1, pid: str = "100360", side: int = 8, brightest: int = 200) -> Slice:
    rng = np.random.default_rng(number)
    image = rng.integers(0, brightest, (side, side)).astype(np.int16)
    image[0, 0] = brightest
    mask = np.zeros((side, side), dtype=np.uint8)
    mask[2:4, 1 : 2 + number % 4] = 1
    border = np.array([[0.5, 1.5], [1.5, 1.5], [1.5, 3.5], [0.5, 3.5]]) + number
    return Slice(number, label, pid, image, mask, border)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four slices of two sizes, three patients and two families, and their published folds."""
    folder = tmp_path / "slices"
    folder.mkdir()
    write_slice(folder, make_slice(2, label=2, pid="MR040240"))
    write_slice(folder, make_slice(3, label=2, pid="MR040240B", side=4))
    write_slice(folder, make_slice(10, label=1, pid="100360"))
    write_slice(folder, make_slice(11, label=1, pid="100360"))
    write_cvind(folder, [5, 4, 3, 2, 1, 5, 4, 3, 2, 1, 2])
    return folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "results" / "slices.h5"


def left_behind(output: Path) -> list[str]:
    return sorted(path.name for path in output.parent.iterdir()) if output.parent.is_dir() else []


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


def test_folder_and_archives_make_the_same_store(folder: Path, output: Path, tmp_path: Path) -> None:
    from_folder = convert([folder], output).digest
    parts = ((2, 3), (10, 11))
    for i, numbers in enumerate(parts):
        with zipfile.ZipFile(tmp_path / f"part{i}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for number in numbers:
                archive.write(folder / f"{number}.mat", f"some/folder/{number}.mat")
            archive.writestr("__MACOSX/._2.mat", b"not a slice")
            archive.writestr("README.txt", b"read me")
    sources = [tmp_path / "part0.zip", tmp_path / "part1.zip", folder / "cvind.mat"]
    assert convert(sources, output).digest == from_folder
    download = tmp_path / "download"
    download.mkdir()
    for source in sources:
        shutil.copy(source, download)
    assert convert([download], output).digest == from_folder


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
    with pytest.raises(UserError, match="is not a slice store of format 1"):
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


def truncated(folder: Path) -> None:
    path = folder / "10.mat"
    path.write_bytes(path.read_bytes()[:-100])


def not_hdf5(folder: Path) -> None:
    (folder / "10.mat").write_text("this is no slice")


def with_field(name: str, value: np.ndarray | None) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        with h5py.File(folder / "10.mat", "r+") as file:
            del file[f"cjdata/{name}"]
            if value is not None:
                file[f"cjdata/{name}"] = value

    return spoil


def two_files_with_one_number(folder: Path) -> None:
    (folder / "more").mkdir()
    shutil.copy(folder / "10.mat", folder / "more" / "10.mat")


def two_labels(folder: Path) -> None:
    write_slice(folder, make_slice(10, label=3, pid="100360"))


def no_number(folder: Path) -> None:
    (folder / "10.mat").rename(folder / "ten.mat")


def bad_archive(folder: Path) -> None:
    (folder / "10.zip").write_bytes(b"PK\x03\x04 and then nothing")


def bad_fold_list(folder: Path) -> None:
    (folder / "cvind.mat").write_bytes(b"nothing")


# what is spoilt, the file that is named, the reason, and the slices that are left when going on
BAD_INPUTS = {
    "truncated file": (truncated, "10.mat", "is truncated or damaged", [2, 3, 11]),
    "not HDF5": (not_hdf5, "10.mat", "is not HDF5", [2, 3, 11]),
    "missing field": (with_field("image", None), "10.mat", "field image of cjdata is missing", [2, 3, 11]),
    "label outside 1-3": (with_field("label", np.array([[4.0]])), "10.mat", "label is 4.0", [2, 3, 11]),
    "NaN": (with_field("image", np.full((8, 8), np.nan)), "10.mat", "64 pixels that are NaN", [2, 3, 11]),
    "mask of another shape": (
        with_field("tumorMask", np.ones((8, 7), dtype=np.uint8)),
        "10.mat",
        "mask is 7 x 8, but its image 8 x 8",
        [2, 3, 11],
    ),
    "empty mask": (with_field("tumorMask", np.zeros((8, 8))), "10.mat", "mask is empty", [2, 3, 11]),
    "two files with one number": (two_files_with_one_number, "10.mat", "has the slice number 10", [2, 3, 11]),
    "one PID with two labels": (two_labels, "10.mat", "patient 100360 has label 3 here and 1 in", [2, 3]),
    "no slice number": (no_number, "ten.mat", "its name is not a slice number", [2, 3, 11]),
    "damaged archive": (bad_archive, "10.zip", "is a truncated or damaged archive", [2, 3, 10, 11]),
    "damaged fold list": (bad_fold_list, "cvind.mat", "is not HDF5", [2, 3, 10, 11]),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_stops_with_file_and_reason_and_leaves_nothing(folder: Path, output: Path, case: str) -> None:
    spoil, file, reason, _ = BAD_INPUTS[case]
    spoil(folder)
    with pytest.raises(UserError) as caught:
        convert([folder], output)
    assert file in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert left_behind(output) == []


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_keep_going_leaves_bad_input_out_and_lists_it(folder: Path, output: Path, case: str) -> None:
    spoil, file, reason, left = BAD_INPUTS[case]
    spoil(folder)
    store = convert([folder], output, keep_going=True)
    assert store.index["slice"].tolist() == left
    assert file in store.rejects[0]["file"]
    assert any(reason in reject["reason"] for reject in store.rejects)
    with h5py.File(output) as stored:
        assert json.loads(stored.attrs["rejects"]) == store.rejects


def test_a_failed_conversion_leaves_the_former_store_as_it_was(folder: Path, output: Path) -> None:
    digest = convert([folder], output).digest
    truncated(folder)
    with pytest.raises(UserError):
        convert([folder], output)
    assert SliceStore(output).digest == digest
    assert left_behind(output) == [INDEX_NAME, "slices.h5"]


def test_a_damaged_member_of_an_archive_is_named(folder: Path, output: Path, tmp_path: Path) -> None:
    archive = tmp_path / "part.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        file.write(folder / "10.mat", "10.mat")
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"part\.zip/10\.mat: is damaged inside its archive"):
        convert([archive], output)


def test_an_archive_of_archives_says_what_to_do(folder: Path, output: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as file:
        file.writestr("part1.zip", b"")
    with pytest.raises(UserError, match=r"all\.zip: holds further archives; unpack it and give the folder"):
        convert([tmp_path / "all.zip"], output)


def test_nothing_left_is_an_error_even_when_going_on(folder: Path, output: Path) -> None:
    for path in folder.glob("[0-9]*.mat"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"no slice is left, all 4 files are unusable, the first: .*2\.mat"):
        convert([folder], output, keep_going=True)
    assert left_behind(output) == []


def test_an_empty_folder_says_what_was_expected(tmp_path: Path, output: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: no slices, expected files such as 1\.mat"):
        convert([tmp_path / "empty"], output)


def test_an_absent_or_strange_source_is_named(tmp_path: Path, output: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such file or folder"):
        convert([tmp_path / "nowhere"], output)
    (tmp_path / "slices.tar").write_bytes(b"")
    with pytest.raises(UserError, match=r"slices\.tar: expected a folder, a \.zip archive or a \.mat file"):
        convert([tmp_path / "slices.tar"], output)


@pytest.mark.parametrize("field_of_view_mm", [0, -1, float("nan"), float("inf")])
def test_a_field_of_view_is_a_positive_length(folder: Path, output: Path, field_of_view_mm: float) -> None:
    with pytest.raises(UserError, match="field of view"):
        convert([folder], output, field_of_view_mm=field_of_view_mm)


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything: step down for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_tmp_path(tmp_path: Path) -> Path:
    """A temporary folder that another user may walk into and write to."""
    for parent in (tmp_path, *tmp_path.parents):
        if parent == Path("/tmp") or parent == Path("/"):
            break
        parent.chmod(parent.stat().st_mode | 0o077)
    return tmp_path


def test_a_file_that_may_not_be_read_is_named(folder: Path, output: Path, open_tmp_path: Path) -> None:
    (folder / "10.mat").chmod(0)
    with as_nobody(), pytest.raises(UserError, match=r"10\.mat: cannot be read \(Permission denied\)"):
        convert([folder], output)
    assert left_behind(output) == []


def test_a_folder_that_may_not_be_listed_is_named(folder: Path, output: Path, open_tmp_path: Path) -> None:
    (folder / "more").mkdir(mode=0)
    with as_nobody(), pytest.raises(UserError, match=r"more: cannot be read \(Permission denied\)"):
        convert([folder], output)


def test_a_place_that_may_not_be_written_is_named(folder: Path, open_tmp_path: Path) -> None:
    closed = open_tmp_path / "closed"
    closed.mkdir(mode=0o555)
    with as_nobody(), pytest.raises(UserError, match=r"cannot be written \(Permission denied\)"):
        convert([folder], closed / "slices.h5")


def test_an_output_under_a_file_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written \((Not a directory|File exists)\)"):
        convert([folder], tmp_path / "file" / "slices.h5")


def test_too_little_room_is_told_before_the_store_is_written(
    folder: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(store_writer.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(UserError, match=r"results: 0\.0 MB are free, the store takes 0\.0 MB; make room"):
        convert([folder], output)
    assert left_behind(output) == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "tiny"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("a full disk needs the right to mount one")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_while_slices_wait_leaves_nothing(tmp_path: Path, tiny_disk: Path) -> None:
    source = tmp_path / "large"
    source.mkdir()
    for number in range(1, 4):
        write_slice(source, make_slice(number, side=400))
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\)"):
        convert([source], tiny_disk / "slices.h5")
    assert left_behind(tiny_disk / "slices.h5") == []


def test_a_disk_that_fills_while_the_store_is_written_leaves_nothing(
    tmp_path: Path, tiny_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Waiting takes 160 x 160 x (1 + 1/8) = 29 kB a slice and the store 51 kB: four of both are 320 kB.
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(store_writer.shutil, "disk_usage", lambda _: usage)
    source = tmp_path / "large"
    source.mkdir()
    for number in range(1, 5):
        write_slice(source, make_slice(number, side=160))
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\)"):
        convert([source], tiny_disk / "slices.h5")
    assert left_behind(tiny_disk / "slices.h5") == []


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
