"""NIfTI planes are turned as radiologists look at them, and masks lie where the image lies."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from mmran.data.images.base import ReadOptions
from mmran.data.images.nifti import Nifti
from mmran.errors import UserError

SHAPE = (4, 5, 6)
OBLIQUE = np.array([[0.7, 0.1, 0, -30], [-0.1, 0.8, 0.05, -40], [0, -0.1, 2.0, 20], [0, 0, 0, 1]])


def written(path: Path, data: np.ndarray, affine: np.ndarray, options: ReadOptions | None = None) -> Nifti:
    nibabel.Nifti1Image(data, affine).to_filename(path)
    file = Nifti(path, options or ReadOptions())
    file.open()
    return file


def voxels() -> np.ndarray:
    return np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)


@pytest.mark.parametrize("code", ["RAS", "LPS", "LAI", "PIR", "SAL", "ASR"])
def test_an_axial_slice_runs_from_anterior_to_posterior_and_from_right_to_left(code: str, tmp_path: Path) -> None:
    # The volume in axes left, posterior, superior is what the slices must show: rows posterior, columns left.
    wanted = nibabel.Nifti1Image(voxels(), np.diag([-0.8, -0.9, 5, 1]) + np.diag([9], 3))
    start = nibabel.orientations.axcodes2ornt(tuple("LPS"))
    stored = wanted.as_reoriented(
        nibabel.orientations.ornt_transform(start, nibabel.orientations.axcodes2ornt(tuple(code)))
    )
    axis = next(i for i, letter in enumerate(code) if letter in "SI")
    file = written(tmp_path / "scan.nii.gz", np.asarray(stored.dataobj), stored.affine, ReadOptions(axis=axis))
    upward = code[axis] == "S"
    for i in range(SHAPE[2]):
        pixels, spacing = file.read(i if upward else SHAPE[2] - 1 - i)
        np.testing.assert_array_equal(pixels, voxels()[:, :, i].T)
        assert spacing == pytest.approx((0.9, 0.8))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("affine", [np.eye(4), OBLIQUE, np.diag([-1, 1, 1, 1])])
def test_a_mask_of_the_brightest_voxel_is_that_voxel(axis: int, affine: np.ndarray, tmp_path: Path) -> None:
    file = written(tmp_path / "scan.nii.gz", voxels(), affine, ReadOptions(axis=axis))
    masks = [file.read(i).pixels == voxels().max() for i in range(SHAPE[axis])]
    file.write_masks(masks, tmp_path / "out" / "scan")
    found = nibabel.load(tmp_path / "out" / "scan_mask.nii.gz")
    np.testing.assert_array_equal(np.asarray(found.dataobj) != 0, voxels() == voxels().max())
    np.testing.assert_array_equal(found.affine, nibabel.load(tmp_path / "scan.nii.gz").affine)
    assert found.header.get_xyzt_units() == nibabel.load(tmp_path / "scan.nii.gz").header.get_xyzt_units()
    assert found.get_data_dtype() == np.uint8


def test_an_image_of_simpleitk_is_read_as_its_array(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    array = np.arange(30, dtype=np.int16).reshape(5, 6)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.8, 0.9))  # columns first
    sitk.WriteImage(image, str(tmp_path / "scan.nii.gz"))
    file = Nifti(tmp_path / "scan.nii.gz", ReadOptions())
    assert file.open() == 1
    pixels, spacing = file.read(0)
    np.testing.assert_array_equal(pixels, array)
    assert spacing == pytest.approx((0.9, 0.8))
    file.write_masks([array == 17], tmp_path / "out" / "scan")
    mask = sitk.ReadImage(str(tmp_path / "out" / "scan_mask.nii.gz"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), array == 17)
    assert mask.GetSpacing() == pytest.approx(image.GetSpacing())
    assert mask.GetDirection() == image.GetDirection()


def test_scaled_intensities_are_scaled_and_meters_are_millimeters(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(voxels(), np.diag([0.0008, 0.0009, 0.005, 1]) + np.diag([0.1], 3))
    image.header.set_slope_inter(2, 10)
    image.header.set_xyzt_units("meter")
    image.to_filename(tmp_path / "scan.nii")
    file = Nifti(tmp_path / "scan.nii", ReadOptions())
    file.open()
    pixels, spacing = file.read(0)
    stored = np.asarray(nibabel.load(tmp_path / "scan.nii").dataobj)[:, :, 0]
    assert sorted(pixels.ravel()) == sorted(stored.ravel())
    assert sorted(spacing or ()) == pytest.approx([0.8, 0.9])


def test_four_dimensions_are_one_line_and_one_of_length_one_is_none(tmp_path: Path) -> None:
    nibabel.Nifti1Image(np.zeros((4, 5, 6, 2)), np.eye(4)).to_filename(tmp_path / "4d.nii.gz")
    with pytest.raises(UserError, match=r"4d\.nii\.gz: is 4-D \(4 x 5 x 6 x 2\), expected 2-D or 3-D; save one volume"):
        Nifti(tmp_path / "4d.nii.gz", ReadOptions()).open()
    nibabel.Nifti1Image(np.zeros((4, 5, 6, 1)), np.eye(4)).to_filename(tmp_path / "3d.nii.gz")
    assert Nifti(tmp_path / "3d.nii.gz", ReadOptions()).open() == 6


def test_a_truncated_volume_is_one_line(tmp_path: Path) -> None:
    written(tmp_path / "scan.nii", voxels(), np.eye(4))
    (tmp_path / "scan.nii").write_bytes((tmp_path / "scan.nii").read_bytes()[:400])
    file = Nifti(tmp_path / "scan.nii", ReadOptions())
    file.open()
    with pytest.raises(UserError, match=r"scan\.nii: cannot be read as NIfTI"):
        file.read(5)
