"""One .mat file: layout, orientation, families, polygons, and every way in which a file can be bad."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from mmran.data.cheng import (
    Slice,
    border_mask,
    read_cvind,
    read_slice,
    slice_number,
    write_cvind,
    write_slice,
)
from mmran.data.matlab import SliceError
from mmran.data.pids import pid_family


def a_slice(number: int = 7, label: int = 2, pid: str = "MR040240B") -> Slice:
    image = np.arange(6 * 8, dtype=np.int16).reshape(6, 8) * 10  # 6 high, 8 wide
    mask = np.zeros((6, 8), dtype=np.uint8)
    mask[1:3, 2:7] = 1  # two rows of five
    # The polygon runs half a pixel outside the outermost pixel centers.
    border = np.array([[1.5, 0.5], [6.5, 0.5], [6.5, 2.5], [1.5, 2.5]])
    return Slice(number, label, pid, image, mask, border)


def replace_field(path: Path, name: str, value: np.ndarray | None) -> None:
    with h5py.File(path, "r+") as file:
        del file[f"cjdata/{name}"]
        if value is not None:
            file[f"cjdata/{name}"] = value


def test_a_written_slice_reads_back_as_it_was(tmp_path: Path) -> None:
    item = a_slice()
    read = read_slice(write_slice(tmp_path, item))
    assert (read.number, read.label, read.pid) == (7, 2, "MR040240B")
    assert read.image.dtype == np.int16
    np.testing.assert_array_equal(read.image, item.image)
    np.testing.assert_array_equal(read.mask, item.mask)
    np.testing.assert_array_equal(read.border, item.border)


def test_files_have_the_layout_that_matlab_writes(tmp_path: Path) -> None:
    path = write_slice(tmp_path, a_slice())
    assert path.read_bytes()[:10] == b"MATLAB 7.3"
    assert path.read_bytes()[124:128] == b"\x00\x02IM"
    with h5py.File(path) as file:
        assert file.userblock_size == 512
        assert file["cjdata/image"].shape == (8, 6)  # columns first
        assert file["cjdata/label"].shape == (1, 1)
        assert file["cjdata/PID"].dtype == np.uint16
        # x1, y1 of the polygon are 1.5, .5 from zero, 2.5, 1.5 from one.
        assert file["cjdata/tumorBorder"][0, :2].tolist() == [2.5, 1.5]


def test_the_same_slice_makes_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first, second = write_slice(tmp_path, a_slice()), write_slice(tmp_path / "again", a_slice())
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("name", "number"),
    [("1.mat", 1), ("17.MAT", 17), ("0017.mat", 17), ("cvind.mat", None), ("0.mat", None), ("1.mat.bak", None)],
)
def test_slice_numbers_come_from_file_names(name: str, number: int | None) -> None:
    assert slice_number(name) == number


def test_a_polygon_fills_the_pixels_whose_centers_it_encloses() -> None:
    np.testing.assert_array_equal(border_mask(a_slice().border, (6, 8)), a_slice().mask)


def test_a_slanted_polygon_is_filled_by_hand_derived_rows() -> None:
    # Triangle (0, -.5), (4, 3.5), (0, 3.5): row y spans x from 0 to y + .5, so that centers 0..y lie inside.
    triangle = np.array([[0, -0.5], [4, 3.5], [0, 3.5]]) - [0.25, 0]
    expected = np.tri(4, 5, dtype=np.uint8)
    np.testing.assert_array_equal(border_mask(triangle, (4, 5)), expected)


def test_a_polygon_may_reach_over_the_edge_of_the_image() -> None:
    square = np.array([[-3, -3], [1.5, -3], [1.5, 9], [-3, 9]], dtype=float)
    filled = border_mask(square, (4, 5))
    assert filled[:, :2].all()
    assert not filled[:, 2:].any()


def test_a_polygon_of_more_edges_than_fit_a_block_is_filled_whole() -> None:
    # 2^20 // 512 = 2048 edges are worked on together.
    angle = np.linspace(0, 2 * np.pi, 16384, endpoint=False)
    circle = 255.5 + 200 * np.column_stack([np.cos(angle), np.sin(angle)])
    filled = border_mask(circle, (512, 512))
    assert filled.sum() == pytest.approx(np.pi * 200**2, rel=1e-3)


def test_published_folds_are_numbered_like_the_slices(tmp_path: Path) -> None:
    assert read_cvind(write_cvind(tmp_path, [3, 1, 5])) == {1: 3, 2: 1, 3: 5}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("label", None, "field label of cjdata is missing"),
        ("tumorMask", None, "field tumorMask of cjdata is missing"),
        ("label", np.array([[0.0]]), "label is 0.0, expected 1, 2 or 3"),
        ("label", np.array([[4.0]]), "label is 4.0, expected 1, 2 or 3"),
        ("label", np.array([[1.5]]), "label is 1.5, expected 1, 2 or 3"),
        ("label", np.array([[np.nan]]), "label is nan, expected 1, 2 or 3"),
        ("label", np.array([[1.0, 2.0]]), "label is 2 values, expected 1, 2 or 3"),
        ("image", np.full((8, 6), np.nan), "image has 48 pixels that are NaN or infinite"),
        ("image", np.zeros((8, 6, 3)), "image has shape (8, 6, 3)"),
        ("image", np.zeros((8, 6), dtype="S1"), "image holds |S1, expected numbers"),
        ("tumorMask", np.ones((6, 8), dtype=np.uint8), "mask is 8 x 6, but its image 6 x 8"),
        ("tumorMask", np.zeros((8, 6), dtype=np.uint8), "mask is empty"),
        ("tumorMask", np.full((8, 6), 2, dtype=np.uint8), "mask holds values other than 0 and 1"),
        ("tumorMask", np.full((8, 6), np.nan), "mask holds values other than 0 and 1"),
        ("tumorBorder", np.ones((1, 7)), "tumorBorder has 7 values, expected x and y in turn"),
        ("tumorBorder", np.array([[1, np.nan]]), "tumorBorder has coordinates that are NaN"),
        ("tumorBorder", np.array([[1, 1e308]]), "tumorBorder has a coordinate of 1e+308 px, expected at most 40960"),
        ("tumorBorder", np.zeros(4, dtype=[("x", "f8")]), "tumorBorder holds [('x', '<f8')]"),
        ("label", np.zeros(1, dtype=[("x", "f8")]), "label has type [('x', '<f8')], expected 1, 2 or 3"),
        ("label", h5py.Empty("f8"), "label is 0 values"),
        ("label", "2", "label has type |S1, expected 1, 2 or 3"),
        ("tumorMask", np.zeros((8, 6), dtype=[("x", "u1")]), "mask holds [('x', 'u1')], expected 0 and 1"),
        ("tumorMask", np.ones((8, 6), dtype=complex), "mask holds complex128, expected 0 and 1"),
        ("image", np.ones((8, 6), dtype=np.longdouble), "image holds float128, expected numbers of at most 64 bits"),
        ("image", np.full((8, 6), 2**63, dtype=np.uint64), "image has intensities of 9.22337e+18 to 9.22337e+18"),
        ("image", np.full((8, 6), -(2**62), dtype=np.int64), "image has intensities of -4.61169e+18 to"),
        ("image", np.full((8, 6), 1e300), "image has intensities of 1e+300 to 1e+300, expected less than 2^53"),
    ],
)
def test_a_bad_field_is_named_with_file_and_reason(
    tmp_path: Path, field: str, value: np.ndarray | None, reason: str
) -> None:
    path = write_slice(tmp_path, a_slice())
    replace_field(path, field, value)
    with pytest.raises(SliceError) as caught:
        read_slice(path)
    assert caught.value.file == str(path)
    assert caught.value.reason.startswith(reason)
    assert str(caught.value) == f"{path}: {caught.value.reason}"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is an empty file"),
        (b"hello, this is not a slice", "is not HDF5"),
        (b"MATLAB 5.0 MAT-file".ljust(900), "is a MATLAB v5 file"),
        (bytes(512) + b"\x89HDF\r\n\x1a\n" + bytes(100), "is truncated or damaged"),
    ],
)
def test_a_foreign_file_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "7.mat"
    path.write_bytes(content)
    with pytest.raises(SliceError, match=reason):
        read_slice(path)


def test_a_file_truncated_anywhere_is_named(tmp_path: Path) -> None:
    path = write_slice(tmp_path, a_slice())
    whole = path.read_bytes()
    for kept in (600, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(SliceError, match="is truncated or damaged"):
            read_slice(path)


def test_a_file_without_cjdata_says_what_it_holds(tmp_path: Path) -> None:
    write_cvind(tmp_path, [1, 2, 3]).rename(tmp_path / "7.mat")
    with pytest.raises(SliceError, match="holds no cjdata struct, but cvind"):
        read_slice(tmp_path / "7.mat")


def test_a_slice_is_no_fold_list(tmp_path: Path) -> None:
    with pytest.raises(SliceError, match="holds no cvind, but cjdata"):
        read_cvind(write_slice(tmp_path, a_slice()))


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SliceError, match="No such file"):
        read_slice(tmp_path / "7.mat")


@pytest.mark.real
def test_the_repeat_examinations_of_the_real_set_form_families(real_slices: Path) -> None:
    numbers = sorted(filter(None, (slice_number(path.name) for path in real_slices.iterdir())))
    pids = {read_slice(real_slices / f"{number}.mat").pid for number in numbers[::5]}
    members: dict[str, set[str]] = {}
    for pid in pids:
        members.setdefault(pid_family(pid), set()).add(pid)
    several = {family for family, of_it in members.items() if len(of_it) > 1}
    assert several
    assert all(family.startswith("MR") for family in several)


@pytest.mark.real
def test_real_masks_are_filled_by_their_border_polygons(real_full_sample: Path) -> None:
    for path in sorted(real_full_sample.glob("[0-9]*.mat"))[::6]:
        item = read_slice(path)
        filled = border_mask(item.border, (item.mask.shape[0], item.mask.shape[1]))
        assert (filled & item.mask).sum() / (filled | item.mask).sum() > 0.95
