"""Digests of source: what moves them, what does not."""

import importlib.util
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from mmran.config.provenance import PLUMBING, STAGES, code_digests, stage_code, training_code
from mmran.errors import UserError

ROOM = '''"""A room."""
from house.stair import STEPS

RECIPE = "house.recipe:Soup"

def area():
    """Its area."""
    return STEPS
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `house`: room imports stair; recipe is named by a text; attic is imported by nobody."""
    folder = tmp_path / "house"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "stair.py").write_text("STEPS = 12\n")
    (folder / "attic.py").write_text("DUST = True\n")
    (folder / "recipe.py").write_text("class Soup:\n    pass\n")
    (folder / "room.py").write_text(ROOM)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "house", raising=False)
    return folder


def rewrite(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_a_module_brings_along_what_it_imports_and_what_it_names_for_later(package: Path) -> None:
    assert set(code_digests(["house.room"])) == {"house.room", "house.stair", "house.recipe"}


def test_a_package_without_an_init_file_is_one_too(package: Path) -> None:
    (package / "__init__.py").unlink()
    assert set(code_digests(["house.room"])) == {"house.room", "house.stair", "house.recipe"}


def test_comments_docstrings_and_layout_move_no_digest(package: Path) -> None:
    before = code_digests(["house.room"])
    rewrite(package / "room.py", '"""A room."""', '"""A fine room."""\n\n# with a view\n')
    rewrite(package / "room.py", '    """Its area."""\n    return STEPS', "    return (\n        STEPS\n    )")
    assert code_digests(["house.room"]) == before


def test_an_edit_moves_the_digest_of_its_own_module_alone(package: Path) -> None:
    before = code_digests(["house.room"])
    rewrite(package / "stair.py", "12", "13")
    after = code_digests(["house.room"])
    assert {name for name in after if after[name] != before[name]} == {"house.stair"}


def test_what_only_the_type_checker_imports_does_not_count(package: Path) -> None:
    rewrite(
        package / "room.py",
        "from house.stair import STEPS",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.attic import DUST\nSTEPS = 1",
    )
    assert "house.attic" not in code_digests(["house.room"])


def test_a_relative_import_counts(package: Path) -> None:
    rewrite(package / "room.py", "from house.stair import STEPS", "from .stair import STEPS")
    rewrite(package / "stair.py", "STEPS = 12", "from . import attic\nSTEPS = 12")
    assert set(code_digests(["house.room"])) == {"house.room", "house.stair", "house.attic", "house.recipe"}


def test_the_packages_that_a_module_is_in_count(package: Path) -> None:
    assert "house" not in code_digests(["house.room"])  # an empty one decides nothing
    (package / "__init__.py").write_text("import house.attic\n")
    assert {"house", "house.attic"} <= set(code_digests(["house.room"]))


def test_own_modules_of_other_packages_count_and_installed_ones_do_not(package: Path) -> None:
    (package.parent / "garden.py").write_text("import numpy\nimport json\nTREES = 3\n")
    rewrite(package / "stair.py", "STEPS = 12", "import garden\nimport torch.nn as nn\nSTEPS = 12")
    assert set(code_digests(["house.room"])) == {"house.room", "house.stair", "house.recipe", "garden"}


def test_packages_of_a_cluster_that_are_on_the_path_do_not_count(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = package.parent / "apps" / "lib" / "site-packages"
    modules.mkdir(parents=True)
    (modules / "cellar.py").write_text("WINE = 1\n")
    monkeypatch.syspath_prepend(str(modules))
    rewrite(package / "stair.py", "STEPS = 12", "import cellar\nSTEPS = 12")
    assert set(code_digests(["house.room"])) == {"house.room", "house.stair", "house.recipe"}


def test_a_module_that_is_imported_by_its_name_counts(package: Path) -> None:
    rewrite(package / "stair.py", "STEPS = 12", "import importlib\nSTEPS = importlib.import_module('house.attic').DUST")
    assert "house.attic" in code_digests(["house.room"])
    rewrite(package / "stair.py", "'house.attic'", "'.attic', __package__")
    assert "house.attic" in code_digests(["house.room"])


def test_a_data_file_that_a_module_names_counts(package: Path) -> None:
    (package / "tables").mkdir()
    (package / "tables" / "steps.json").write_text("12")
    (package / "other.json").write_text("0")
    rewrite(
        package / "stair.py",
        "STEPS = 12",
        "from importlib.resources import files\nSTEPS = files(__package__).joinpath('tables/steps.json').read_text()",
    )
    before = code_digests(["house.room"])
    (package / "other.json").write_text("1")
    assert code_digests(["house.room"]) == before
    (package / "tables" / "steps.json").write_text("13")
    after = code_digests(["house.room"])
    assert {name for name in after if after[name] != before[name]} == {"house.stair: tables/steps.json"}


def test_a_compiled_module_counts_by_its_bytes(package: Path) -> None:
    compiled = package / f"stair{EXTENSION_SUFFIXES[0]}"
    (package / "stair.py").unlink()
    compiled.write_bytes(b"1")
    before = code_digests(["house.room"])
    compiled.write_bytes(b"2")
    assert code_digests(["house.room"])["house.stair"] != before["house.stair"]


def test_a_module_in_the_working_directory_counts_whoever_asks(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script such as `snakemake` does not search the working directory; its jobs do."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "mynet.py").write_text("import house.stair\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.path", [path for path in sys.path if path])
    assert set(code_digests(["mynet"])) == {"mynet", "house.stair"}


def test_a_module_that_is_not_python_is_one_line(package: Path) -> None:
    (package / "stair.py").write_text("STEPS = 12\nSTEPS = = 13\n")
    with pytest.raises(UserError, match=r"stair\.py, line 2: not Python \(invalid syntax\)"):
        code_digests(["house.room"])
    (package / "stair.py").write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"stair\.py: cannot be read as Python"):
        code_digests(["house.room"])


def test_a_network_from_outside_brings_along_the_modules_of_mmran_that_it_uses(package: Path) -> None:
    rewrite(package / "recipe.py", "class Soup", "from mmran.training.losses import dice_loss\nclass Soup")
    rewrite(package / "room.py", "house.recipe:Soup", "mmran.training.staged:Staged")
    (package / "room.py").write_text((package / "room.py").read_text() + "import house.recipe\n")
    assert {"mmran.training.losses", "mmran.training.staged", "mmran.networks.blocks"} <= set(
        training_code("house.room:Net")
    )


def test_every_plumbing_module_exists() -> None:
    assert [name for name in PLUMBING if importlib.util.find_spec(name) is None] == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_new_version_reruns_nothing(stage: str) -> None:
    assert not {"mmran", "mmran.version"} & (stage_code(stage).keys() | training_code("mmran").keys())


@pytest.mark.slow
def test_no_module_that_computes_is_plumbing_or_left_out() -> None:
    """Everything that the training imports is in its code, but for what is plumbing."""
    modules = set(training_code("mmran"))
    loaded = "import sys, mmran.training.engine, mmran.networks.mmran, mmran.training.multitask; print(*sys.modules)"
    names = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in names if name.startswith("mmran.") and not name.startswith("mmran.config.")}
    for name in ours - modules - PLUMBING:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.submodule_search_locations, f"{name} is in no digest"  # a package, of a docstring alone


def test_training_depends_on_loop_network_losses_and_augmentation_but_not_on_other_networks_or_tables() -> None:
    modules = set(training_code("mmran"))
    assert {
        "mmran.training.engine",
        "mmran.training.multitask",
        "mmran.networks.mmran",
        "mmran.training.losses",
    } <= modules
    assert {"mmran.networks.attention", "mmran.data.augment", "mmran.training.schedules"} <= modules
    assert not modules & {"mmran.report.tables", "mmran.evaluation.evaluate", "mmran.tune.runner", "mmran.networks"}
    others = ("chen", "he", "mb_dcnn", "resnet", "rv_gan", "xception", "y_net")
    assert not modules & {f"mmran.networks.{name}" for name in others}
    assert not modules & {"mmran.training.history", "mmran.cli", "mmran.config.configuration"}


def test_no_stage_is_without_code() -> None:
    assert "mmran.metrics.surface" in stage_code("evaluate")
    assert "mmran.evaluation.postprocess" in stage_code("evaluate")
    assert "mmran.data.splits" in stage_code("split")
    assert "mmran.report.tables" in stage_code("table")
    assert "mmran.report.figures.outlines" in stage_code("figure")
    assert "mmran.data.cheng" in stage_code("convert")


def test_code_that_a_value_of_the_experiment_names_counts(package: Path) -> None:
    assert "house.stair" not in training_code("mmran")
    assert "house.stair" in training_code("mmran", "house.stair:climb")
