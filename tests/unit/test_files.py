"""Files are whole or absent."""

from pathlib import Path

import pytest

from mmran.errors import UserError
from mmran.files import atomic_path, canonical_json, read_json, write_json, write_text, write_text_if_changed


def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    write_text(path, "old")

    def write_half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_holds_the_text_already_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    assert write_text_if_changed(path, "one")
    before = path.stat().st_mtime_ns
    assert not write_text_if_changed(path, "one")
    assert path.stat().st_mtime_ns == before
    assert write_text_if_changed(path, "two")


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/below/x\.json: cannot be written"):
        write_json(tmp_path / "file" / "below" / "x.json", {})


def test_results_can_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    write_text(tmp_path / "x", "")
    plain = tmp_path / "plain"
    plain.write_text("")
    assert (tmp_path / "x").stat().st_mode == plain.stat().st_mode


def test_one_value_has_one_text() -> None:
    assert canonical_json({"b": 1, "a": "α"}) == '{\n  "a": "α",\n  "b": 1\n}\n'
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


@pytest.mark.parametrize(("text", "message"), [(None, "no such file"), ("{", "not a JSON file")])
def test_a_missing_or_broken_json_file_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "x.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=rf"x\.json: {message}"):
        read_json(path)
