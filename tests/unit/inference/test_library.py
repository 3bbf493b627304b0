"""mmran as a library: what `import mmran` offers, and the page of examples."""

import ast
import importlib
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mmran
from mmran.data.store import SliceStore
from mmran.errors import UserError
from mmran.evaluation.predictions import probability_bytes, read_predictions

PAGE = Path(__file__).resolve().parents[3] / "docs" / "library.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def run_example(code: str) -> int:
    """Run an example; a line whose comment is a Python value must have it. Returns the number of such lines."""
    names: dict[str, Any] = {}
    compared = 0
    for node in ast.parse(code).body:
        text = ast.get_source_segment(code, node)
        assert text is not None
        if not isinstance(node, ast.Expr):
            exec(text, names)
            continue
        value = eval(text, names)
        comment = code.splitlines()[(node.end_lineno or 1) - 1].partition("  # ")[2]
        try:
            expected = ast.literal_eval(comment)
        except (ValueError, SyntaxError):
            continue
        compared += 1
        assert math.isclose(value, expected) if isinstance(expected, float) else value == expected, text
    return compared


@pytest.mark.parametrize("code", BLOCKS, ids=[f"block-{i}" for i in range(len(BLOCKS))])
def test_examples_of_the_page_run(
    code: str, model_folder: Path, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for link, target in (
        ("models/mmran", model_folder),
        ("results/demo/experiments/mmran/paper", results / "experiments" / "tiny" / "paper"),
    ):
        Path(link).parent.mkdir(parents=True)
        Path(link).symlink_to(target)
    run_example(code)


def test_the_page_states_values_that_are_compared() -> None:
    assert len(BLOCKS) >= 6
    assert run_example(next(block for block in BLOCKS if "hd95_mm" in block)) == 3


def test_importing_mmran_imports_nothing_heavy() -> None:
    code = "import mmran, sys; mmran.networks; sys.exit(bool({'torch', 'pandas', 'h5py', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("module", ["mmran", "mmran.metrics", "mmran.statistics"])
def test_every_public_name_exists_and_is_listed(module: str) -> None:
    package = importlib.import_module(module)
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing


def test_a_prediction_has_the_probabilities_of_the_pipeline(one_seed_model: Path, results: Path) -> None:
    model = mmran.load(one_seed_model, device="cpu")
    with (
        read_predictions(results / "experiments" / "tiny" / "paper" / "predictions.h5") as predictions,
        SliceStore(results / "data" / "slices.h5") as store,
    ):
        case = predictions.cases[predictions.cases["seed"] == 1029].iloc[0]
        image, _ = store.read(case["slice"])
        stored = predictions.stored_probability(case["group"], case["row"]).astype(int)
    found = model.predict(image, spacing_mm=250.88 / len(image))
    assert found.probability is not None
    # A batch of one may differ from a batch of five in the last bit of a probability.
    assert np.abs(probability_bytes(found.probability).astype(int) - stored).max() <= 1
    assert found.classes == pytest.approx({name: case[f"p_{name}"] for name in found.classes}, abs=1e-5)


def test_the_mean_over_two_networks_lies_between_them(model_folder: Path, one_seed_model: Path) -> None:
    image = np.random.default_rng(1).integers(0, 500, (32, 32))
    both, first = (mmran.load(folder, device="cpu").predict(image) for folder in (model_folder, one_seed_model))
    model = mmran.load(model_folder, device="cpu")
    model.recipes = model.recipes[1:]
    second = model.predict(image)
    assert both.probability is not None
    assert first.probability is not None
    assert second.probability is not None
    np.testing.assert_allclose(both.probability, (first.probability + second.probability) / 2, atol=1e-6)


def test_flips_make_a_mirrored_image_a_mirrored_mask(model_folder: Path) -> None:
    model = mmran.load(model_folder, device="cpu")
    image = np.random.default_rng(1).integers(0, 500, (32, 32))
    plain, mirrored = (model.predict(one, flips=True) for one in (image, image[:, ::-1].copy()))
    assert plain.probability is not None
    assert mirrored.probability is not None
    np.testing.assert_allclose(plain.probability[:, ::-1], mirrored.probability, atol=1e-5)


@pytest.mark.parametrize(
    ("image", "options", "said"),
    [
        (np.zeros((2, 3, 4)), {}, r"image: has shape \(2, 3, 4\), expected \(height, width\)"),
        (np.full((4, 4), np.nan), {}, r"image: has 16 pixels that are NaN"),
        (np.zeros((4, 4), dtype=complex), {}, r"image: holds complex128, expected real numbers"),
        (np.zeros((4, 4)), {"variant": "pkpp"}, r"variant 'pkpp' is unknown; did you mean 'pkp'"),
        (np.zeros((4, 4)), {"spacing_mm": 0}, r"spacing_mm is 0, expected positive millimeters"),
    ],
)
def test_what_is_no_image_is_refused(image: Any, options: dict, said: str, model_folder: Path) -> None:
    with pytest.raises(UserError, match=said):
        mmran.load(model_folder, device="cpu").predict(image, **options)


def test_mram_has_the_parameters_of_its_equations_and_keeps_the_shape() -> None:
    # 64 channels: 41 x 64² in four convolutions, 2 x 64 of the norm, 4 x 64²/4 in the gates, 64 in the spatial gate.
    module = mmran.networks.MRAM(64)
    assert sum(one.numel() for one in module.parameters()) == 41 * 64**2 + 2 * 64 + 64**2 + 64
    assert module(torch.rand(2, 64, 5, 7)).shape == (2, 64, 5, 7)
    with pytest.raises(UserError, match=r"MRAM: channels: 6 is not a positive multiple of 4"):
        mmran.networks.MRAM(6)
