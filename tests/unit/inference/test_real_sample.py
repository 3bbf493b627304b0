"""Real slices as png, NIfTI volume and .mat: the masks are those of the pipeline, bit by bit."""

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from mmran.cli import main
from mmran.data.images.cjdata import read_mask
from mmran.data.store import SliceStore
from mmran.evaluation.predictions import TUMOR_BYTE, read_predictions
from mmran.inference.package import package
from tests.unit.inference.results import make_results

pytestmark = [pytest.mark.real, pytest.mark.slow]

AFFINE = np.array([[-0.49, 0, 0, 125], [0, -0.49, 0, 110], [0, 0, 5, -40], [0, 0, 0, 1]])
"""Of an axial scan: columns run to the left, rows to the back."""


def test_every_format_gives_the_masks_of_the_pipeline(real_full_sample: Path, tmp_path: Path) -> None:
    made, scans = tmp_path / "made", tmp_path / "scans"
    store, split = str(made / "data" / "slices.h5"), str(made / "splits" / "paper.csv")
    assert main(["convert", str(real_full_sample), "--output", store]) == 0
    assert main(["split", store, "--protocol", "paper", "--output", split]) == 0
    # After four epochs, masks are all tumor on some processors.
    training = {"epochs": 8, "batch_size": 5}
    options = {"seeds": [1029], "input": {"size": 128, "fit": "resample"}, "training": training}
    results = make_results(made, tmp_path / "results", **options)
    package(results, "tiny", None, tmp_path / "model")
    with (
        read_predictions(results / "experiments" / "tiny" / "paper" / "predictions.h5") as predictions,
        SliceStore(results / "data" / "slices.h5") as slices,
    ):
        cases = predictions.cases.to_dict("records")
        masks = {one["slice"]: predictions.stored_probability(one["group"], one["row"]) >= TUMOR_BYTE for one in cases}
        images = {number: slices.read(number)[0] for number in masks}
    assert sum(mask.any() and not mask.all() for mask in masks.values()) >= 3
    scans.mkdir()
    for number, image in images.items():
        shutil.copy(real_full_sample / f"{number}.mat", scans / f"{number}-cjdata.mat")
        Image.fromarray(image.astype(np.uint16)).save(scans / f"{number}-picture.png")
    large = [number for number, image in images.items() if image.shape == (512, 512)]
    volume = np.stack([images[number].T for number in large], axis=2)
    nibabel.Nifti1Image(volume, AFFINE).to_filename(scans / "volume.nii.gz")
    out = tmp_path / "out"
    assert main(["segment", str(tmp_path / "model"), str(scans), "--output", str(out), "--device", "cpu"]) == 0
    for number, mask in masks.items():
        np.testing.assert_array_equal(read_mask(out / f"{number}-cjdata_mask.mat"), mask)
        np.testing.assert_array_equal(np.asarray(Image.open(out / f"{number}-picture_mask.png")) != 0, mask)
    written = np.asarray(nibabel.load(out / "volume_mask.nii.gz").dataobj)
    for i, number in enumerate(large):
        np.testing.assert_array_equal(written[:, :, i].T != 0, masks[number])
