"""The verb `segment` on mixed folders: bad files, interruption, truth, warnings."""

import resource
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmran.cli import main
from mmran.data.cheng import read_slice
from mmran.inference.model import Model, Prepared, Raw
from tests.unit.data.images.dicoms import write_series


@pytest.fixture
def scans(tiny: Path, tmp_path: Path) -> Path:
    """Three png of slices 1 to 3, one of them in a folder."""
    (tmp_path / "scans" / "ward").mkdir(parents=True)
    for number, name in ((1, "a.png"), (2, "b.png"), (3, "ward/a.png")):
        image = read_slice(tiny / "phantom" / f"{number}.mat").image.astype(np.uint16)
        Image.fromarray(image).save(tmp_path / "scans" / name)
    return tmp_path / "scans"


def segment(model: Path, *words: object) -> int:
    return main(["segment", str(model), *map(str, words), "--threads", "1", "--jobs", "2", "--device", "cpu"])


def predictions(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "predictions.csv")


def test_every_image_gets_mask_overlay_and_a_line(model_folder: Path, scans: Path, tmp_path: Path) -> None:
    assert segment(model_folder, scans, "--output", tmp_path / "out") == 0
    rows = predictions(tmp_path / "out")
    assert rows["file"].tolist() == ["a.png", "b.png", "ward/a.png"]
    for name in rows["file"]:
        base = (tmp_path / "out" / name).with_suffix("")
        mask = np.asarray(Image.open(base.with_name(base.name + "_mask.png")))
        assert mask.shape == (32, 32)
        assert Image.open(base.with_name(base.name + "_overlay.png")).size == (32, 32)
        row = rows[rows["file"] == name].iloc[0]
        assert row["area_px"] == np.count_nonzero(mask)
    probabilities = rows[["p_meningioma", "p_glioma", "p_pituitary"]]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (rows["predicted"] == probabilities.idxmax(axis=1).str.removeprefix("p_")).all()
    assert rows["area_mm2"].isna().all()  # a png has no spacing


def test_a_spacing_gives_millimeters(
    model_folder: Path, scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment(model_folder, scans / "a.png", "--output", tmp_path / "out", "--spacing-mm", "7.84") == 0
    assert ": 1 file, 1 slice, " in capsys.readouterr().out
    row = predictions(tmp_path / "out").iloc[0]
    assert row["area_mm2"] == pytest.approx(row["area_px"] * 7.84**2, rel=1e-5)
    assert row["longest_mm"] == pytest.approx(row["longest_px"] * 7.84, rel=1e-5)


def test_smaller_batches_predict_the_same_and_do_not_mix_with_others(
    model_folder: Path, scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = []
    run = Model.run

    def counted(self: Model, prepared: Sequence[Prepared], *, flips: bool = False) -> Raw:
        sizes.append(len(prepared))
        return run(self, prepared, flips=flips)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "run", counted)
        assert segment(model_folder, scans, "--output", tmp_path / "two", "--batch", 2) == 0
        assert sizes == [2, 1]
        assert segment(model_folder, scans, "--output", tmp_path / "all") == 0
        assert sizes == [2, 1, 3]
    two, together = (predictions(tmp_path / name).select_dtypes("number") for name in ("two", "all"))
    np.testing.assert_allclose(two, together, atol=1e-5)
    capsys.readouterr()
    assert segment(model_folder, scans, "--output", tmp_path / "two") == 1
    assert "batch" in capsys.readouterr().err


def test_a_bad_file_is_one_line_and_the_others_are_done(
    model_folder: Path, scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (scans / "a2.png").write_bytes((scans / "a.png").read_bytes()[:300])
    (scans / "broken.nii.gz").write_bytes(b"\x1f\x8b not gzip")
    (scans / "photo.jpg").touch()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(scans / "photo.png")
    write_series(scans / "series", [np.ones((8, 8)), np.ones((8, 8)), np.ones((8, 8))])
    (scans / "series" / "002.dcm").unlink()  # of two slices, no gap can be missed: still a series
    assert segment(model_folder, scans, "--output", tmp_path / "out") == 1
    lines = capsys.readouterr().err.splitlines()
    failed = [line for line in lines if line.startswith("failed: ")]
    assert len(failed) == 4
    for name in ("a2.png", "broken.nii.gz", "photo.jpg", "photo.png: is a color picture"):
        assert sum(f"/{name}" in line for line in failed) == 1, name
    assert lines[-1].endswith("4 of 8 files failed, one line each above; the others are done")
    assert set(predictions(tmp_path / "out")["file"]) == {"a.png", "b.png", "ward/a.png", "series"}


def test_an_interrupted_run_continues_with_what_is_left(
    model_folder: Path, scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert segment(model_folder, scans, "--output", out) == 0
    whole = (out / "predictions.csv").read_text()
    # As a killed process leaves it: half a line, and a mask whose line is not written yet.
    (out / "predictions.csv").write_text(whole[: whole.rindex("\nward") + 20])
    (out / "b_mask.png").unlink()
    kept = (out / "a_mask.png").stat().st_mtime_ns
    capsys.readouterr()
    assert segment(model_folder, scans, "--output", out) == 0
    assert "2 files, 2 slices" in (said := capsys.readouterr().out)
    assert "1 already done" in said
    assert (out / "a_mask.png").stat().st_mtime_ns == kept
    assert sorted((out / "predictions.csv").read_text().splitlines()) == sorted(whole.splitlines())


def test_outputs_of_other_settings_are_not_mixed(
    model_folder: Path, scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (scans / "a.png", "--output", tmp_path / "out")
    assert segment(model_folder, *words) == 0
    assert segment(model_folder, *words, "--variant", "pkp") == 1
    assert "holds outputs with another variant; choose another --output, or add --overwrite" in capsys.readouterr().err
    assert segment(model_folder, *words, "--variant", "pkp", "--overwrite") == 0
    assert len(predictions(tmp_path / "out")) == 1


def test_the_truth_is_measured_as_in_cases_csv(
    one_seed_model: Path, results: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = pd.read_csv(results / "experiments" / "tiny" / "paper" / "cases.csv")
    cases = cases[(cases["seed"] == 1029) & (cases["variant"] == "raw")].set_index("slice")
    (tmp_path / "in").mkdir()
    for number in cases.index:
        shutil.copy(tiny / "phantom" / f"{number}.mat", tmp_path / "in")
    assert segment(one_seed_model, tmp_path / "in", "--output", tmp_path / "out", "--truth", tiny / "phantom") == 0
    found = pd.read_csv(tmp_path / "out" / "truth.csv")
    found = found.set_index(found["file"].str.removesuffix(".mat").astype(int)).loc[cases.index]
    np.testing.assert_allclose(found["dice"], cases["dice"], rtol=1e-5)
    np.testing.assert_allclose(found["hd95_mm"], cases["hd95_mm"], rtol=1e-5)
    np.testing.assert_array_equal(found["correct"], (cases["predicted"] == cases["label"]).astype(int))
    assert f"truth: Dice {100 * cases['dice'].mean():.2f} % of {len(cases)}" in capsys.readouterr().out


def test_labels_come_from_a_csv(model_folder: Path, scans: Path, tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "labels.csv").write_text("file,label\na.png,2\n")
    words = (scans / "a.png", "--output", tmp_path / "out", "--truth", tmp_path / "truth")
    assert segment(model_folder, *words) == 0
    assert pd.read_csv(tmp_path / "out" / "truth.csv")["label"].tolist() == ["glioma"]


def test_an_unlike_image_is_a_warning_with_the_measured_value(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.full((48, 40), 7, dtype=np.uint8)).save(tmp_path / "flat.png")
    assert segment(model_folder, tmp_path / "flat.png", "--output", tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert "warning: flat.png: 48 x 40 px without spacing do not fit 32 x 32: scaled as a whole" in said
    assert "warning: flat.png: nearly all pixels have the same intensity" in said
    assert "scaled as a whole; " in predictions(tmp_path / "out")["warnings"].iloc[0]


def test_a_full_disk_stops_the_run_in_one_line(
    model_folder: Path, scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))  # no overlay fits, as on a full disk
    try:
        code = segment(model_folder, scans, "--output", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be written (File too large)" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["missing.png"], "missing.png: no such file or folder"),
        (["notes.txt"], "notes.txt: is of an unknown kind; expected .png"),
        (["empty"], "empty: no image found; expected .png"),
    ],
)
def test_inputs_that_are_no_images_are_one_line(
    words: list[str],
    said: str,
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    assert segment(model_folder, *words, "--output", "out") == 1
    assert said in capsys.readouterr().err


def test_changed_weights_are_refused(
    own_model: Path, scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = own_model / "weights" / "seed1-fold0.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert segment(own_model, scans, "--output", tmp_path / "out") == 1
    assert "seed1-fold0.safetensors: not the weights that were packaged" in capsys.readouterr().err
