"""The same image gives the same mask in every format, bit by bit that of the pipeline."""

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mmran.cli import main
from mmran.data.images.cjdata import read_mask
from mmran.data.store import SliceStore
from mmran.evaluation.predictions import TUMOR_BYTE, read_predictions

Masks = dict[int, NDArray[np.bool_]]


@pytest.fixture(scope="module")
def pipeline(results: Path) -> Masks:
    """Masks of the test slices, as `mmran predict` stored them."""
    with read_predictions(results / "experiments" / "tiny" / "paper" / "predictions.h5") as predictions:
        cases = predictions.cases[predictions.cases["seed"] == 1029]
        return {
            int(case["slice"]): predictions.stored_probability(case["group"], case["row"]) >= TUMOR_BYTE
            for case in cases.to_dict("records")
        }


@pytest.fixture(scope="module")
def images(results: Path, pipeline: Masks) -> dict[int, NDArray[np.int16]]:
    with SliceStore(results / "data" / "slices.h5") as store:
        return {number: store.read(number)[0].astype(np.int16) for number in pipeline}


def segment(model: Path, *words: object) -> None:
    assert main(["segment", str(model), *map(str, words), "--threads", "1", "--jobs", "1", "--device", "cpu"]) == 0


def test_the_pipeline_finds_tumors_to_compare(pipeline: Masks) -> None:
    assert all(mask.any() and not mask.all() for mask in pipeline.values())


def as_png(image: NDArray[np.int16], path: Path) -> None:
    Image.fromarray(image.astype(np.uint16)).save(path.with_suffix(".png"))


def as_tiff(image: NDArray[np.int16], path: Path) -> None:
    Image.fromarray(image.astype(np.float32)).save(path.with_suffix(".tif"))


@pytest.mark.parametrize(("write", "suffix"), [(as_png, ".png"), (as_tiff, ".tif")])
def test_pictures(
    write: Callable[[NDArray[np.int16], Path], None],
    suffix: str,
    images: dict[int, NDArray[np.int16]],
    pipeline: Masks,
    one_seed_model: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "in").mkdir()
    for number, image in images.items():
        write(image, tmp_path / "in" / str(number))
    segment(one_seed_model, tmp_path / "in", "--output", tmp_path / "out")
    for number, mask in pipeline.items():
        written = np.asarray(Image.open(tmp_path / "out" / f"{number}_mask{suffix}"))
        assert set(np.unique(written)) <= {0, 255}
        np.testing.assert_array_equal(written != 0, mask)


def test_cjdata(results: Path, tiny: Path, pipeline: Masks, one_seed_model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in pipeline:
        shutil.copy(tiny / "phantom" / f"{number}.mat", tmp_path / "in")
    segment(one_seed_model, tmp_path / "in", "--output", tmp_path / "out")
    for number, mask in pipeline.items():
        np.testing.assert_array_equal(read_mask(tmp_path / "out" / f"{number}_mask.mat"), mask)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_nifti_volume(
    transposed: bool, images: dict[int, NDArray[np.int16]], pipeline: Masks, one_seed_model: Path, tmp_path: Path
) -> None:
    numbers = [number for number, image in images.items() if image.shape == (32, 32)]
    planes = [images[number].T if transposed else images[number] for number in numbers]
    # An affine of a scanner: columns to the left, rows to the back, as SimpleITK writes rows and columns.
    affine = np.diag([-7.84, -7.84, 5, 1]) if transposed else np.diag([7.84, 7.84, 5, 1])
    nibabel.Nifti1Image(np.stack(planes, axis=2), affine).to_filename(tmp_path / "volume.nii.gz")
    segment(one_seed_model, tmp_path / "volume.nii.gz", "--output", tmp_path / "out")
    written = nibabel.load(tmp_path / "out" / "volume_mask.nii.gz")
    np.testing.assert_allclose(written.affine, affine, rtol=1e-7)  # the file holds float32
    masks = np.asarray(written.dataobj)
    for i, number in enumerate(numbers):
        plane = masks[:, :, i].T if transposed else masks[:, :, i]
        np.testing.assert_array_equal(plane != 0, pipeline[number])
