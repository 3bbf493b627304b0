"""Configuration files: read strictly, merged, and typed as the schema says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmran.config.load import load, overlay
from mmran.config.typed import as_typed
from mmran.errors import UserError

BOMB = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{p: *a{i - 1}, q: *a{i - 1}}}\n" for i in range(1, 60))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not YAML"),
        ("- 1", "holds a list, expected a mapping"),
        (None, "cannot be read"),
        ("a: 1\nb: 2\na: 3", "line 3: duplicate key 'a'"),
        ("a: {b: 1, c: {d: 1, d: 2}}", "line 1: duplicate key 'd'"),
        (b"a: 1\nb: \xff", "byte 8 is not UTF-8"),
        ("a: " + "[" * 2000, "nested more than 30 deep"),
        ("- " * 2000 + "x", "nested more than 30 deep"),
        (BOMB, "more than 100000 values"),
        ("a: &a [*a]", r"alias \*a has no anchor before it"),
        ("a: 2026-13-01", "not YAML: month must be in 1..12"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_in_one_line(
    tmp_path: Path, text: str | bytes | None, message: str
) -> None:
    path = tmp_path / "broken.yaml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=f"broken.yaml.*{message}") as error:
        load([path])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "most"),
    [
        # The stream, the document, and 31 brackets.
        ("a: " + "[" * 2000, 40),
        # 2^17 > 100,000 values are reached after 17 doublings, each a mapping of two aliases: 7 events.
        (BOMB, 160),
    ],
)
def test_a_trap_is_refused_early_and_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, most: int
) -> None:
    path, parsed = tmp_path / "trap.yaml", []

    def counted(*args: Any, **options: Any) -> Iterator[Any]:
        for event in parse(*args, **options):
            parsed.append(event)
            yield event

    parse = yaml.parse
    monkeypatch.setattr(yaml, "parse", counted)
    monkeypatch.setattr(yaml, "load", lambda *_, **__: pytest.fail("built"))
    path.write_text(text)
    with pytest.raises(UserError, match="more than"):
        load([path])
    assert len(parsed) <= most


def test_one_key_in_two_mappings_is_no_repetition(tmp_path: Path) -> None:
    path = tmp_path / "fine.yaml"
    path.write_text("a: {x: 1}\nb: {x: &rows [x, x]}\nc: {x: *rows}\n")
    assert load([path]) == {"a": {"x": 1}, "b": {"x": ["x", "x"]}, "c": {"x": ["x", "x"]}}


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert load([tmp_path / "empty.yaml"]) == {}


def test_mappings_merge_and_everything_else_is_replaced() -> None:
    below = {"a": {"x": 1, "y": 2}, "b": [1, 2], "c": "text"}
    assert overlay(below, {"a": {"y": 3}, "b": [4], "c": {"z": 5}}) == {"a": {"x": 1, "y": 3}, "b": [4], "c": {"z": 5}}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"data": {"keep_going": "true"}}, {"data": {"keep_going": True}}),
        ({"data": {"patients_per_class": "8"}}, {"data": {"patients_per_class": 8}}),
        ({"defaults": {"training": {"epochs": "2"}}}, {"defaults": {"training": {"epochs": 2}}}),
        ({"defaults": {"training": {"epochs": 2.0}}}, {"defaults": {"training": {"epochs": 2}}}),
        ({"defaults": {"training": {"learning_rate": "1e-3"}}}, {"defaults": {"training": {"learning_rate": 0.001}}}),
        ({"defaults": {"input": {"percentiles": ["1", "99"]}}}, {"defaults": {"input": {"percentiles": [1, 99]}}}),
        (
            {"experiments": {"x": {"network": {"reduction": "4"}}}},
            {"experiments": {"x": {"network": {"reduction": 4}}}},
        ),
        ({"search": {"space": {"learning_rate": "null"}}}, {"search": {"space": {"learning_rate": None}}}),
        ({"experiments": {"8": {}, "x": "8"}}, {"experiments": {"8": {}, "x": "8"}}),
        ({"defaults": {"training": {"epochs": "many"}}}, {"defaults": {"training": {"epochs": "many"}}}),
        ({"tables": {"t": {"title": "2"}}}, {"tables": {"t": {"title": "2"}}}),
    ],
)
def test_a_value_has_the_type_that_its_key_expects(given: dict[str, Any], meant: dict[str, Any]) -> None:
    found = as_typed(given)
    assert found == meant
    assert repr(found) == repr(meant)  # True is not 1, and 2.0 is not 2


@pytest.mark.parametrize(
    ("word", "value"),
    [("source=1512427", 1512427), ("results=123_456", 123456), ("results=007", 7), ("results=1e5", 100000.0)],
)
def test_a_folder_keeps_the_name_that_was_typed_though_it_reads_as_a_number(word: str, value: float) -> None:
    key, _, text = word.partition("=")
    assert as_typed({key: value}, ["snakemake", "--config", word]) == {key: text}


def test_a_null_on_the_command_line_is_no_folder_of_that_name() -> None:
    assert as_typed({"results": "null"}, ["snakemake", "--config", "results=null"]) == {"results": None}
    assert as_typed({"results": "null"}) == {"results": "null"}
