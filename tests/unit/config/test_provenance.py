"""Digests of source: what moves them, what does not."""

import sys
from pathlib import Path

import pytest

from mmran.config.provenance import code_digests, stage_code, training_code

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
    assert not modules & {"mmran.training.history", "mmran.cli", "mmran.config.configuration"}


def test_no_stage_is_without_code() -> None:
    assert "mmran.metrics.surface" in stage_code("evaluate")
    assert "mmran.evaluation.postprocess" in stage_code("evaluate")
    assert "mmran.data.splits" in stage_code("split")
    assert "mmran.report.tables" in stage_code("table")
    assert "mmran.report.figures.outlines" in stage_code("figure")
    assert "mmran.data.cheng" in stage_code("convert")
