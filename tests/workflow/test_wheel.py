"""The wheel alone, installed away from the checkout, plans, packages, and segments."""

import csv
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.inference.results import make_results

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin/ of a fresh environment that has the wheel, and sees the packages that mmran needs."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    pip = [sys.executable, "-m", "pip"]
    build = [*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder / "dist"), str(folder)]
    subprocess.run(build, check=True)
    venv.create(folder / "environment", with_pip=False)
    python = folder / "environment" / "bin" / "python"
    (wheel,) = (folder / "dist").glob("mmran-*.whl")
    subprocess.run([*pip, "--python", str(python), "install", "-q", "--no-deps", "--no-index", str(wheel)], check=True)
    # A path in a .pth file is searched last and its own .pth files are not read, so the checkout stays out of sight.
    (packages,) = (folder / "environment").glob("lib/*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


def run(environment: Path, folder: Path, *command: str) -> str:
    variables = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [environment / command[0], *command[1:]], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("mmran", "--help"), "Segmentation and classification of brain tumors"),
        (("mmran", "networks"), "mmran"),
        (("mmran", "plan", "--source", "phantom"), "times cover training"),
        (("mmran", "why", "se", "--source", "phantom"), "train/se/paper: never run"),
    ],
)
def test_verbs_run_in_an_empty_folder(environment: Path, tmp_path: Path, command: tuple[str, ...], said: str) -> None:
    where = run(environment, tmp_path, "python", "-c", "import mmran; print(mmran.__file__)")
    assert Path(where).is_relative_to(environment.parent)
    assert said in run(environment, tmp_path, *command)
    assert list(tmp_path.iterdir()) == []


def test_results_from_elsewhere_become_a_model_that_segments(environment: Path, tiny: Path, tmp_path: Path) -> None:
    results = make_results(tiny, tmp_path / "results", training={"epochs": 1}, seeds=[1])
    away = tmp_path / "away"
    away.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    Image.fromarray(pixels).save(away / "head.png")
    run(environment, away, "mmran", "package", str(results), "tiny", "--output", "model")
    run(environment, away, "mmran", "segment", "model", "head.png", "--output", "masks")
    with (away / "masks" / "predictions.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["file"].endswith("head.png")
    assert float(row["p_glioma"]) >= 0
