"""Packages of networks that take several channels: what they say, and what they segment."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mmran
from mmran.cli import main
from mmran.data.convert import convert
from mmran.data.protocol import Protocol
from mmran.data.splits import make_split
from mmran.data.store import SliceStore
from mmran.errors import UserError
from mmran.evaluation.predictions import TUMOR_BYTE, read_predictions
from mmran.files import write_text
from mmran.inference.package import package
from tests.own_data import draw_channels
from tests.unit.inference.results import make_results

pytestmark = pytest.mark.slow

nibabel = pytest.importorskip("nibabel")

RGB = ("red", "green", "blue")


@pytest.fixture(scope="module")
def color_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a network for color images."""
    folder = tmp_path_factory.mktemp("color")
    source = draw_channels(folder / "own", RGB, "green")
    store = convert([source], folder / "data" / "slices.h5", classes=("upper", "lower"), channels=RGB)
    protocol = Protocol.from_values(
        {"method": "slice", "fractions": [0.6, 0.2, 0.2], "seed": 1, "stratify": True, "apart": "none"}, "protocol"
    )
    write_text(folder / "splits" / "paper.csv", make_split(store.index, protocol).to_csv(index=False))
    network: dict[str, Any] = {"attention": "none", "channels": 3, "n_classes": 2}
    return make_results(folder, tmp_path_factory.mktemp("results"), network=network, seeds=[1029])


@pytest.fixture(scope="module")
def model(color_results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "color"
    package(color_results, "tiny", None, folder)
    return folder


@pytest.fixture(scope="module")
def tested(color_results: Path) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Number -> image (3, H, W) and predicted mask of every test slice."""
    store = SliceStore(color_results / "data" / "slices.h5")
    with read_predictions(color_results / "experiments" / "tiny" / "paper" / "predictions.h5") as predictions:
        return {
            case["slice"]: (
                store.read(case["slice"])[0],
                predictions.stored_probability(case["group"], case["row"]) >= TUMOR_BYTE,
            )
            for case in predictions.cases.to_dict("records")
        }


def segmented(model: Path, *arguments: str) -> int:
    return main(["segment", str(model), *arguments, "--device", "cpu", "--threads", "1"])


def test_a_package_names_its_channels(model: Path, model_folder: Path) -> None:
    record = json.loads((model / "package.json").read_text())
    assert (record["channels"], record["format"]) == (["red", "green", "blue"], 2)
    assert "stack as (batch, 3, height, width), the channels in the order red, green, blue" in record["preprocessing"]
    card = (model / "README.md").read_text()
    assert "# (3, height, width) array" in card
    assert "Channels of an image, in this order: red, green, blue." in card
    gray = json.loads((model_folder / "package.json").read_text())
    assert gray["format"] == 1
    assert "channels" not in gray


def test_color_pictures_files_per_channel_and_niftis_get_the_masks_of_the_pipeline(
    model: Path, tested: dict[int, tuple[np.ndarray, np.ndarray]], tmp_path: Path
) -> None:
    scans = {kind: tmp_path / kind for kind in ("color", "apart", "nifti", "volumes")}
    for folder in scans.values():
        folder.mkdir()
    for number, (image, _) in tested.items():
        Image.fromarray(np.moveaxis(image, 0, 2)).save(scans["color"] / f"{number}.png")
        for name, plane in zip(RGB, image, strict=True):
            Image.fromarray(plane).save(scans["apart"] / f"{number}_{name}.png")
    # One slice for each image; a diagonal of -1 keeps rows and columns, see the reader.
    volume = np.stack([image for image, _ in tested.values()]).transpose(3, 2, 0, 1)
    nibabel.Nifti1Image(volume, np.diag([-1.0, -1.0, 1.0, 1.0])).to_filename(scans["nifti"] / "all.nii.gz")
    for name, of_channel in zip(RGB, np.moveaxis(volume, 3, 0), strict=True):
        path = scans["volumes"] / f"all-{name}.nii"
        nibabel.Nifti1Image(of_channel, np.diag([-1.0, -1.0, 1.0, 1.0])).to_filename(path)
    for kind, folder in scans.items():
        assert segmented(model, str(folder), "--output", str(tmp_path / f"{kind}-out"), "--spacing-mm", "1") == 0
    masks = nibabel.load(tmp_path / "nifti-out" / "all_mask.nii.gz")
    assert masks.shape == (32, 32, len(tested))
    apart = nibabel.load(tmp_path / "volumes-out" / "all_mask.nii")
    assert np.array_equal(np.asarray(apart.dataobj), np.asarray(masks.dataobj))
    assert np.array_equal(apart.affine, masks.affine)
    for i, (number, (_, expected)) in enumerate(tested.items()):
        for kind in ("color", "apart"):
            mask = np.asarray(Image.open(tmp_path / f"{kind}-out" / f"{number}_mask.png"))
            assert np.array_equal(mask == 255, expected)
            overlay = np.asarray(Image.open(tmp_path / f"{kind}-out" / f"{number}_overlay.png"))
            assert np.ptp(overlay, axis=2).max() > 100  # in color
        assert np.array_equal(np.asarray(masks.dataobj)[:, :, i].T != 0, expected)
    with (tmp_path / "apart-out" / "predictions.csv").open() as file:
        assert {row["file"] for row in csv.DictReader(file)} == {f"{number}.png" for number in tested}


def test_images_of_other_channels_are_one_line_each_and_the_others_are_done(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scans, gray = tmp_path / "scans", np.zeros((32, 32), np.uint8)
    scans.mkdir()
    Image.fromarray(np.stack([gray] * 3, axis=2)).save(scans / "good.png")
    Image.fromarray(gray).save(scans / "gray.png")
    for name in ("a_red", "a_green", "b_red", "b_green", "b-green", "b_blue"):
        Image.fromarray(gray).save(scans / f"{name}.png")
    nibabel.Nifti1Image(np.zeros((8, 8, 3), np.uint8), np.eye(4)).to_filename(scans / "v.nii")
    (scans / "x.mat").write_bytes(b"")
    assert segmented(model, str(scans), "--output", str(tmp_path / "out")) == 1
    printed = " ".join(capsys.readouterr().err.split())
    assert "gray.png: has one channel, expected 3 channels (data.channels: red, green, blue)" in printed
    assert "a.png: has a_red.png and a_green.png, but no file of channel blue; add it" in printed
    assert "b_green.png: is the same channel as b-green.png; keep one" in printed
    assert "v.nii: is 3-D (8 x 8 x 3), expected 3 channels" in printed
    assert "v_red.nii" in printed
    assert "x.mat: has one channel, expected 3 channels" in printed
    assert (tmp_path / "out" / "good_mask.png").is_file()


def test_an_array_has_the_channels_first(model: Path, tested: dict[int, tuple[np.ndarray, np.ndarray]]) -> None:
    loaded = mmran.load(model, device="cpu")
    for image, expected in tested.values():
        assert np.array_equal(loaded.predict(image, spacing_mm=1).mask, expected)
    for shape in ((32, 32), (4, 32, 32), (1, 3, 32, 32)):
        with pytest.raises(UserError, match=r"expected \(3, height, width\), channels in the order red, green, blue"):
            loaded.predict(np.zeros(shape))


def test_a_channel_of_one_intensity_is_a_warning(model: Path, tested: dict[int, tuple[np.ndarray, np.ndarray]]) -> None:
    image = next(iter(tested.values()))[0].copy()
    image[2] = 9
    warnings = mmran.load(model, device="cpu").predict(image, spacing_mm=1).warnings
    assert any("nearly all pixels of channel blue have the same intensity" in line for line in warnings)


def test_masks_have_one_channel_and_truth_is_found_by_the_name_of_the_case(
    model: Path, tested: dict[int, tuple[np.ndarray, np.ndarray]], tmp_path: Path
) -> None:
    (tmp_path / "truth").mkdir()
    image, expected = next(iter(tested.values()))
    for name, plane in zip(RGB, image, strict=True):
        Image.fromarray(plane).save(tmp_path / f"case_{name}.png")
    Image.fromarray(expected.astype(np.uint8) * 255).save(tmp_path / "truth" / "case_seg.png")
    files = [str(tmp_path / f"case_{name}.png") for name in RGB]
    out = tmp_path / "out"
    assert segmented(model, *files, "--output", str(out), "--truth", str(tmp_path / "truth"), "--spacing-mm", "1") == 0
    with (out / "truth.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["dice"]) == 1


def test_an_export_takes_the_channels(model: Path, tmp_path: Path) -> None:
    assert main(["export", str(model), "--format", "torch", "--output", str(tmp_path / "torch")]) == 0
    described = json.loads((tmp_path / "torch" / "export.json").read_text())
    assert described["input"] == "images (batch, 3, 32, 32) float32"
    assert described["channels"] == ["red", "green", "blue"]
    assert all(file["difference"] < 1e-5 for file in described["files"].values())
