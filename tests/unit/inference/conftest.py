"""A trained and evaluated experiment on tiny slices, and a package of it, shared by the tests of this room."""

import json
import shutil
from pathlib import Path

import pytest

from mmran.files import write_json
from mmran.inference.package import package
from tests.unit.inference.results import make_results


@pytest.fixture(scope="session")
def results(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of experiment "tiny" under protocol "paper", trained for a few epochs with two seeds."""
    return make_results(tiny, tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="session")
def model_folder(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of these results; read-only by agreement."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    package(results, "tiny", None, folder, data_license="drawn, MIT")
    return folder


@pytest.fixture
def own_model(model_folder: Path, tmp_path: Path) -> Path:
    """A copy of the package that a test may damage."""
    shutil.copytree(model_folder, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(scope="session")
def one_seed_model(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with the weights of its first seed alone, whose predictions the pipeline has too."""
    folder = tmp_path_factory.mktemp("models") / "one"
    shutil.copytree(model_folder, folder)
    values = json.loads((folder / "package.json").read_text())
    write_json(folder / "package.json", values | {"weights": values["weights"][:1]})
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever needs the package needs a training, and `make check` trains nothing."""
    for item in items:
        if Path(__file__).parent in item.path.parents and "results" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
