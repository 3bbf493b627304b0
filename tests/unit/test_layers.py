"""The order of rooms that docs/architecture.md draws holds, and only one room knows Ray, one Snakemake."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "mmran"
PAGE = ROOT / "docs" / "architecture.md"


def layers() -> dict[str, int]:
    """Room -> its line in the drawing, the ground first."""
    drawing = PAGE.read_text().partition("src/mmran/\n")[2].partition("```")[0]
    names = [re.findall(r"(\w+)(?:\.py|/)(?= |$)", line) for line in drawing.splitlines()]
    return {name: number for number, line in enumerate(names) for name in line}


def imported(path: Path) -> Iterator[str]:
    """Modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ([f"mmran.{name.name}" for name in node.names] if node.module == "mmran" else [node.module])


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def sources() -> list[Path]:
    # The face of the package and `python -m mmran` stand above all rooms.
    return [path for path in sorted(SOURCE.rglob("*.py")) if room(path) not in ("__init__", "__main__")]


def test_the_drawing_names_every_room() -> None:
    assert set(layers()) == {room(path) for path in sources()}


def test_imports_go_down() -> None:
    order = layers()
    upward = []
    for path in sources():
        for module in imported(path):
            top, _, inside = module.partition(".")
            if top == "mmran" and order.get(inside.partition(".")[0], len(order)) > order[room(path)]:
                upward.append(f"{path.relative_to(SOURCE)} imports {module}")
    assert upward == []


@pytest.mark.parametrize(("library", "only"), [("ray", "tune"), ("snakemake", "workflow")])
def test_one_room_knows_it(library: str, only: str) -> None:
    knowing = {room(path) for path in sources() if any(name.partition(".")[0] == library for name in imported(path))}
    assert knowing == {only}
