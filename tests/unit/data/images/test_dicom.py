"""DICOM series in, DICOM-SEG and NIfTI out."""

from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEGLSLossless

from mmran.data.images.base import ReadOptions
from mmran.data.images.dicom import Dicom
from mmran.data.images.find import find_images
from mmran.errors import UserError
from tests.unit.data.images.dicoms import SPACING, edit, write_series


def pictures(n: int = 3) -> list[np.ndarray]:
    """(6, 8) images whose pixels say slice, row and column."""
    rows, columns = np.indices((6, 8))
    return [(100 * i + 10 * rows + columns).astype(np.uint16) for i in range(n)]


def opened(folder: Path) -> Dicom:
    (found,) = find_images([folder], folder / "out", ReadOptions()).images
    assert isinstance(found.file, Dicom)
    found.file.open()
    return found.file


def test_a_series_is_sorted_by_position_and_knows_its_spacing(tmp_path: Path) -> None:
    write_series(tmp_path / "scan", pictures())
    series = opened(tmp_path / "scan")
    for i, image in enumerate(pictures()):
        pixels, spacing = series.read(i)
        np.testing.assert_array_equal(pixels, image)
        assert spacing == tuple(SPACING)


def test_pixels_are_rescaled_and_dark_stays_dark(tmp_path: Path) -> None:
    images = pictures(2)
    write_series(tmp_path / "a", images, RescaleSlope=2, RescaleIntercept=-1)
    np.testing.assert_array_equal(opened(tmp_path / "a").read(0).pixels, 2.0 * images[0] - 1)
    write_series(tmp_path / "b", images, PhotometricInterpretation="MONOCHROME1")
    inverted = opened(tmp_path / "b").read(1).pixels
    np.testing.assert_array_equal(inverted, images[1].max() + images[1].min() - images[1])


def test_masks_lie_where_the_slices_lie(tmp_path: Path) -> None:
    write_series(tmp_path / "scan", pictures())
    series = opened(tmp_path / "scan")
    masks = [np.zeros((6, 8), dtype=bool) for _ in range(3)]
    masks[1][2, 5] = True
    series.write_masks(masks, tmp_path / "out" / "scan")
    nifti = nibabel.load(tmp_path / "out" / "scan_mask.nii.gz")
    (voxel,) = np.argwhere(np.asarray(nifti.dataobj))
    # DICOM: column 5 and row 2 of the second slice lie at (-10 + 5 x 0.8, -20 + 2 x 0.9, 35) mm, left and posterior;
    # NIfTI counts to the right and to the front.
    np.testing.assert_allclose(nifti.affine @ [*voxel, 1], [6.0, 18.2, 35.0, 1], atol=1e-5)
    seg = highdicom.seg.segread(tmp_path / "out" / "scan_seg.dcm")
    sources = [pydicom.dcmread(path) for path in sorted((tmp_path / "scan").glob("*.dcm"), reverse=True)]
    pixels = seg.get_pixels_by_source_instance([one.SOPInstanceUID for one in sources], ignore_spatial_locations=True)
    np.testing.assert_array_equal(pixels[..., 0].astype(bool), masks)


def test_two_series_of_a_folder_stay_apart(tmp_path: Path) -> None:
    write_series(tmp_path / "scan", pictures(2))
    for path in write_series(tmp_path / "more", pictures(3)):
        path.rename(tmp_path / "scan" / f"b{path.name}")
    found = find_images([tmp_path / "scan"], tmp_path / "out", ReadOptions()).images
    assert sorted(one.file.open() for one in found) == [2, 3]
    assert len({one.base for one in found}) == 2


@pytest.mark.parametrize(
    ("i", "changes", "said"),
    [
        (
            1,
            {"ImagePositionPatient": [-10, -20, 31]},
            r"slices are missing between 31 and 40 mm, expected one every 5 mm",
        ),
        (1, {"ImagePositionPatient": [-10, -20, 30]}, r"has two slices at 30 mm; move one of the acquisitions"),
        (0, {"Rows": 8, "Columns": 6}, r"its series mixes sizes \(6 x 8, 8 x 6\); move one of them"),
        (0, {"PhotometricInterpretation": "RGB"}, r"is a color image \(RGB\), expected gray values"),
    ],
)
def test_a_series_that_is_no_volume_is_one_line(i: int, changes: dict, said: str, tmp_path: Path) -> None:
    paths = write_series(tmp_path / "scan", pictures(5))
    edit(paths[i], **changes)
    with pytest.raises(UserError, match=said):
        opened(tmp_path / "scan")


def test_a_missing_slice_is_named_by_its_neighbors(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "scan", pictures(5))
    paths[2].unlink()
    with pytest.raises(UserError, match=r"slices are missing between 35 and 45 mm, expected one every 5 mm; add them"):
        opened(tmp_path / "scan")


def test_pixels_that_no_decoder_reads_are_one_line_with_a_remedy(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path / "scan", pictures(1))
    data = pydicom.dcmread(path)
    data.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8 no image"])
    data["PixelData"].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = JPEGLSLossless
    data.save_as(path)
    with pytest.raises(UserError, match=r"is compressed \(JPEG-LS Lossless .*no decoder could read it; pip install"):
        opened(tmp_path / "scan").read(0)


def test_an_object_without_an_image_is_one_line(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path / "scan", pictures(1))
    data = pydicom.dcmread(path)
    del data.Rows, data.PixelData
    data.save_as(path)
    with pytest.raises(UserError, match=r"is a DICOM object without an image \(MR\); leave it out"):
        opened(tmp_path / "scan")
