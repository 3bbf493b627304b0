"""A package holds all that a prediction needs, and nothing that does not fit."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mmran.cli import main
from mmran.data.store import SliceStore
from mmran.errors import UserError
from mmran.files import sha256_file, write_json
from mmran.inference.package import package
from mmran.inference.record import Package


@pytest.fixture
def own_results(results: Path, tmp_path: Path) -> Path:
    """A copy of the results that a test may damage."""
    shutil.copytree(results, tmp_path / "results")
    return tmp_path / "results"


def test_a_package_names_every_seed_and_the_digest_of_its_weights(model_folder: Path) -> None:
    record = Package.read(model_folder)
    assert [(one.seed, one.fold) for one in record.weights] == [(1029, 0), (1, 0)]
    assert [sha256_file(model_folder / one.file) for one in record.weights] == [one.sha256 for one in record.weights]
    assert record.digests["spec"] == sha256_file(model_folder / "spec.json")
    assert record.classes == ("meningioma", "glioma", "pituitary")


def test_the_ranges_of_the_training_images_are_those_of_the_slices_that_train(
    model_folder: Path, results: Path
) -> None:
    images = Package.read(model_folder).training_images
    split = pd.read_csv(results / "splits" / "paper.csv")
    with SliceStore(results / "data" / "slices.h5") as store:
        chosen = store.index[store.index["slice"].isin(split.loc[split["role"] == "train", "slice"])]
        areas = chosen["tumor_px"] * chosen["spacing_mm"] ** 2
        first, _ = store.read(int(chosen["slice"].iloc[0]))
    assert images.slices == len(chosen)
    assert images.sizes == ("16x16", "32x32")
    assert images.tumor_mm2 == (areas.min(), areas.max())
    # 250.88 mm on 32 pixels, and on the 16 of the odd patient; padding keeps the pixels.
    assert images.network_spacing_mm == images.spacing_mm == (7.84, 15.68)
    low, high = np.percentile(first, (1, 99))
    mean = float(np.clip((first - low) / (high - low), 0, 1).mean())
    assert images.mean[0] - 1e-6 <= mean <= images.mean[1] + 1e-6


def test_a_package_needs_nothing_of_the_results(own_results: Path, tmp_path: Path) -> None:
    package(own_results, "tiny", "paper", tmp_path / "model")
    shutil.rmtree(own_results)
    assert Package.read(tmp_path / "model").experiment == "tiny"
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        *("package.json", "spec.json", "results.csv", "README.md", "weights")
    }


def test_the_card_has_the_form_of_the_hub_and_says_what_the_model_is_not(model_folder: Path) -> None:
    text = (model_folder / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    values = yaml.safe_load(front)
    assert values["library_name"] == "mmran"
    assert values["pipeline_tag"] == "image-segmentation"
    assert {one["type"] for one in values["model-index"][0]["results"][0]["metrics"]} >= {"dice", "acc"}
    for said in ("not a medical device", "Every training image shows a tumor", "drawn, MIT", "| Dice (%) |"):
        assert said in body, said


def test_results_hold_every_metric_of_every_variant_with_its_interval(model_folder: Path, results: Path) -> None:
    found = pd.read_csv(model_folder / "results.csv").set_index(["variant", "metric"])
    summary = json.loads((results / "experiments" / "tiny" / "paper" / "summary.json").read_text())
    assert set(found.index.get_level_values("variant")) == {"raw", "pkp", "pkp-guarded"}
    row = found.loc["raw", "dice"]
    assert row["estimate"] == pytest.approx(summary["variants"]["raw"]["dice"], abs=1e-11)
    assert row["low"] <= row["estimate"] <= row["high"]


def test_one_seed_is_packaged_with_its_own_results(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    assert main(["package", str(results), "tiny", "--seeds", "1", "--output", str(out)]) == 0
    assert [(one.seed, one.fold) for one in Package.read(out).weights] == [(1, 0)]
    assert "Predictions are those of one trained network (1 seed, 1 fold)." in (out / "README.md").read_text()
    summary = json.loads((results / "experiments" / "tiny" / "paper" / "summary.json").read_text())
    own = {part["seed"]: part["variants"]["raw"]["dice"] for part in summary["seeds"]}
    assert own[1] != pytest.approx(own[1029], abs=1e-6)
    row = pd.read_csv(out / "results.csv").set_index(["variant", "metric"]).loc["raw", "dice"]
    assert row["estimate"] == pytest.approx(own[1], abs=1e-11)
    assert row["n_seeds"] == 1


def test_a_seed_without_networks_is_answered_with_the_known_ones(results: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no network of seed 7; choose from 1029, 1$"):
        package(results, "tiny", None, tmp_path / "model", seeds=[1, 7])
    assert not (tmp_path / "model").exists()


def test_changed_weights_are_not_packaged(own_results: Path, tmp_path: Path) -> None:
    path = own_results / "experiments" / "tiny" / "paper" / "trials" / "seed1-fold0" / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.unlink()  # the file is a link to the trial's own
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"weights\.safetensors: not the weights that run\.json records"):
        package(own_results, "tiny", None, tmp_path / "model")
    assert not list(tmp_path.glob("*model*"))


def test_results_of_another_split_are_not_packaged(own_results: Path, tmp_path: Path) -> None:
    split = own_results / "splits" / "paper.csv"
    split.write_text(split.read_text().replace(",test\n", ",val\n", 1))
    with pytest.raises(UserError, match=r"run\.json: records training"):
        package(own_results, "tiny", None, tmp_path / "model")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tinny"], "has no trained experiment 'tinny'; did you mean 'tiny'? known: tiny"),
        (["tiny", "--protocol", "patient"], "not trained under 'patient'; known: paper"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(
    words: list[str], said: str, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["package", str(results), *words, "--output", str(tmp_path / "model")]) == 1
    assert said in capsys.readouterr().err


def test_an_existing_folder_is_replaced_only_if_it_is_a_package_and_on_request(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["package", str(results), "tiny", "--output"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    assert main([*words, str(tmp_path / "mine"), "--overwrite"]) == 1
    assert "is not a model package" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "model")]) == 0
    assert main([*words, str(tmp_path / "model")]) == 1
    assert "add --overwrite" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "model"), "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 99}, r"has format 99, written by mmran .*; install a newer mmran"),
        ({"format": "x"}, r"not the record of a model package"),
        ({"weights": 3}, r"damaged record of a package"),
        ({"stray": 1}, r"damaged record of a package"),
    ],
)
def test_a_record_of_another_form_is_one_line(change: dict, said: str, own_model: Path) -> None:
    path = own_model / "package.json"
    write_json(path, json.loads(path.read_text()) | change)
    with pytest.raises(UserError, match=said):
        Package.read(own_model)


def test_a_folder_without_a_record_is_no_package(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not a model package \(no package\.json\)"):
        Package.read(tmp_path)
