"""NIfTI volumes with masks become slices."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from mmran.data.convert import convert
from mmran.errors import UserError

# Stored axes run to the left, to the back, and up, so that a picture is the transposed plane.
AFFINE = np.diag([-0.5, -0.5, 3.0, 1.0])
AFFINE[:3, 3] = 10


def save(path: Path, volume: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    nibabel.Nifti1Image(volume, affine).to_filename(path)


def volume() -> np.ndarray:
    """(8, 6, 4) int16 whose values say column, row, and plane."""
    columns, rows, planes = np.indices((8, 6, 4))
    return (100 * planes + 10 * rows + columns).astype(np.int16)


def tumor() -> np.ndarray:
    """Tumor in planes 1 and 3 of four."""
    mask = np.zeros((8, 6, 4), dtype=np.uint8)
    mask[2:4, 1, 1] = 1
    mask[5, 2:5, 3] = 1
    return mask


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    for name in "ab":
        save(folder / f"{name}.nii.gz", volume())
        save(folder / f"{name}_mask.nii.gz", tumor())
    lines = ["image,mask,label,patient", "a.nii.gz,a_mask.nii.gz,1,A", "b.nii.gz,b_mask.nii.gz,2,B"]
    (folder / "slices.csv").write_text("\n".join(lines))
    return folder


def test_planes_with_tumor_become_slices_numbered_by_their_place(own: Path, output: Path) -> None:
    store = convert([own], output)
    # Planes 0 to 3 of a are slices 1000 to 1003, those of b 2000 to 2003.
    assert store.index["slice"].tolist() == [1001, 1003, 2001, 2003]
    assert store.index["pid"].tolist() == ["A", "A", "B", "B"]
    assert store.index["spacing_mm"].tolist() == [0.5] * 4
    for number, plane in ((1001, 1), (1003, 3), (2001, 1), (2003, 3)):
        pixels, mask = store.read(number)
        np.testing.assert_array_equal(pixels, volume()[:, :, plane].T)
        np.testing.assert_array_equal(mask, tumor()[:, :, plane].T)
    assert [one.reason for one in store.ignored] == ["2 of 4 slices have no tumor and are left out"] * 2


@pytest.mark.parametrize("damaged", ["a.nii.gz", "a_mask.nii.gz"])
def test_a_volume_that_cannot_be_read_moves_no_number(own: Path, output: Path, damaged: str) -> None:
    (own / damaged).write_bytes(b"not NIfTI")
    store = convert([own], output, keep_going=True)
    assert len(store.rejects) == 1
    assert store.index["slice"].tolist() == [2001, 2003]


def test_a_line_that_cannot_be_used_moves_no_number_in_any_table(own: Path, output: Path) -> None:
    other = own / "others.csv"
    other.write_text("image,mask,label,patient\nb.nii.gz,b_mask.nii.gz,2,B\n")
    (own / "slices.csv").write_text(
        "image,mask,label,patient\nabsent.nii,a_mask.nii.gz,1,A\na.nii.gz,a_mask.nii.gz,1,A\n"
    )
    store = convert([own, other], output, keep_going=True)
    assert store.index["slice"].tolist() == [2001, 2003, 3001, 3003]


def test_a_volume_of_more_slices_than_a_line_has_numbers_is_refused(own: Path, output: Path) -> None:
    save(own / "a.nii.gz", np.zeros((2, 2, 1001), dtype=np.int16))
    with pytest.raises(UserError, match=r"has slice number 2000, as does .* number them in the column slice"):
        convert([own], output)


def test_the_number_of_a_line_is_that_of_the_first_plane(own: Path, output: Path) -> None:
    lines = ["slice,image,mask,label,patient", "101,a.nii.gz,a_mask.nii.gz,1,A", "11,b.nii.gz,b_mask.nii.gz,2,B"]
    (own / "slices.csv").write_text("\n".join(lines))
    assert convert([own], output).index["slice"].tolist() == [12, 14, 102, 104]


def test_volumes_that_share_slice_numbers_are_refused(own: Path, output: Path) -> None:
    lines = ["slice,image,mask,label,patient", "1,a.nii.gz,a_mask.nii.gz,1,A", "4,b.nii.gz,b_mask.nii.gz,2,B"]
    (own / "slices.csv").write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"has slice number 4, as does .*slices.csv line"):
        convert([own], output)


def moved(own: Path) -> None:
    affine = AFFINE.copy()
    affine[2, 3] = 40
    save(own / "a_mask.nii.gz", tumor(), affine)


def flat(own: Path) -> None:
    affine = AFFINE @ np.diag([1, 2, 1, 1])
    save(own / "a.nii.gz", volume(), affine)
    save(own / "a_mask.nii.gz", tumor(), affine)


def with_values(own: Path) -> None:
    mask = tumor()
    mask[2, 1, 1] = 4
    save(own / "a_mask.nii.gz", mask)


def not_a_number(own: Path) -> None:
    pixels = volume().astype(np.float32)
    pixels[0, 0, 3] = np.nan
    save(own / "a.nii.gz", pixels)


FAULTS = {
    "mask elsewhere": (moved, "mask has another affine than its image", [2001, 2003]),
    "pixels not square": (flat, "has pixels of 1 x 0.5 mm, expected square ones", [2001, 2003]),
    "several values": (with_values, "mask holds 1, 4 besides 0", [2001, 2003]),
    "NaN in one plane": (not_a_number, "slice 3: image has 1 pixels that are NaN", [1001, 2001, 2003]),
    "no tumor": (lambda own: save(own / "a_mask.nii.gz", 0 * tumor()), "mask is empty", [2001, 2003]),
    "fewer planes": (
        lambda own: save(own / "a_mask.nii.gz", tumor()[:, :, 1:]),
        "mask has 3 slices, but",
        [2001, 2003],
    ),
    "4-D": (lambda own: save(own / "a.nii.gz", np.stack([volume()] * 2, -1)), "is 4-D", [2001, 2003]),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_one_line_and_keep_going_keeps_the_other_planes(own: Path, output: Path, case: str) -> None:
    spoil, reason, left = FAULTS[case]
    spoil(own)
    with pytest.raises(UserError) as caught:
        convert([own], output)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    store = convert([own], output, keep_going=True)
    assert store.index["slice"].tolist() == left
    assert any(reason in str(f"{one.file}: {one.reason}") for one in store.rejects)


def test_tumor_values_join_the_regions_of_a_mask(own: Path, output: Path) -> None:
    with_values(own)
    assert convert([own], output, tumor_values=[1, 4]).index["tumor_px"].tolist() == [2, 3, 2, 3]
    assert convert([own], output, tumor_values=[4], keep_going=True).index["tumor_px"].tolist() == [1]
