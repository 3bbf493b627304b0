"""Files are whole or absent."""

import threading
from pathlib import Path

import pytest

from mmran.errors import UserError
from mmran.files import (
    atomic_folder,
    atomic_path,
    canonical_json,
    locked,
    read_json,
    sweep_partial,
    write_json,
    write_text,
    write_text_if_changed,
)


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


def test_pages_of_hdf5_about_a_full_disk_are_one_line(tmp_path: Path) -> None:
    message = "Unable to extend file properly, errno = 28 (file write failed: time = now\n, buf = 0x5610)"
    for error in (OSError(28, message), OSError(0, message)):
        with pytest.raises(UserError, match="cannot be written") as raised, atomic_path(tmp_path / "slices.h5"):
            raise error
        assert str(raised.value).isprintable()


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


def test_leftovers_of_killed_writes_are_swept_and_nothing_else(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "result.txt") as temporary:
        temporary.write_text("whole")
        left = tmp_path / temporary.name.replace(temporary.name.split(".")[-2], "killed")
        left.write_text("half")
    (tmp_path / ".hidden").write_text("someone's own")
    sweep_partial(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"result.txt", ".hidden"}
    assert not left.exists()


@pytest.mark.parametrize("text", ['{"x": NaN}', '{"x": -Infinity}', "[" * 100_000])
def test_numbers_and_depths_that_json_does_not_have_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UserError, match=r"x\.json: not a JSON file"):
        read_json(tmp_path / "x.json")


def test_a_text_that_is_not_utf_8_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(UserError, match=r"x\.json: not UTF-8 text"):
        read_json(tmp_path / "x.json")


def test_a_lock_is_free_again_when_its_holder_ends(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    order: list[str] = []

    def second() -> None:
        with locked(tmp_path / "folder" / "lock", "waiting for the first"):
            order.append("second")

    with locked(tmp_path / "folder" / "lock", "never said"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert capfd.readouterr().err == "waiting for the first\n"


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").touch()

    def replace(fail: bool) -> None:
        with atomic_folder(tmp_path / "model") as temporary:
            (temporary / "new").touch()
            if fail:
                raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        replace(fail=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "old"]
    replace(fail=False)
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "new"]
