"""Folders and limits of a Ray head: what is refused, what is swept."""

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mmran.errors import UserError
from mmran.tune import places
from mmran.tune.places import check_process_limit, object_store_arguments, scratch_folder, short_parent


def test_a_scratch_folder_is_private_and_removed(tmp_path: Path) -> None:
    with scratch_folder(tmp_path, "ray-") as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "r").mkdir()
    assert not list(tmp_path.iterdir())


def test_the_folder_of_a_killed_process_is_removed_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from mmran.tune.places import scratch_folder\n"
        "with scratch_folder(Path(sys.argv[1]), 'ray-') as folder: print(folder, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    theirs = Path(process.stdout.readline().strip())
    other = tmp_path / "ray-of-another-program"
    other.mkdir()
    with scratch_folder(tmp_path, "ray-"):
        assert theirs.is_dir()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert theirs.is_dir()
    with scratch_folder(tmp_path, "ray-"):
        assert not theirs.exists()
    assert other.is_dir()


def test_sockets_go_where_tmpdir_says_if_its_name_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_problem", lambda name: "a long name" if len(name) > 28 else None)
    assert short_parent({"TMPDIR": "/scratch/u1"}) == Path("/scratch/u1")
    assert short_parent({"TMPDIR": "/var/tmp/scratch/user1234/node-local-scratch"}) == Path("/tmp")
    assert short_parent({}) == Path("/tmp")


def test_without_a_folder_for_sockets_each_one_is_named_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = {"/tmp": "no space left on device", "/var/tmp": "read-only file system"}
    monkeypatch.setattr(places, "unusable", lambda folder, n_bytes: reasons[str(folder)])
    with pytest.raises(UserError) as caught:
        short_parent({"TMPDIR": "/var/tmp/scratch/user1234/node-local-scratch"})
    assert str(caught.value).startswith(
        "Ray has no folder for its sockets (TMPDIR=/var/tmp/scratch/user1234/node-local-scratch: a name of 44 "
        "characters; /tmp: no space left on device; /var/tmp: read-only file system); set TMPDIR to"
    )


def test_a_folder_that_does_not_exist_or_has_no_room_is_unusable(tmp_path: Path) -> None:
    assert places.unusable(tmp_path / "none", 1) == "no such file or directory"
    assert places.unusable(tmp_path, 1) is None
    assert str(places.unusable(tmp_path, 10**18)).endswith(" MB free of 1000000000000 needed")


def test_the_object_store_moves_to_a_folder_where_shared_memory_is_unusable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = f"--object-store-memory={places.OBJECT_STORE_BYTES}"
    monkeypatch.setattr(places, "SHARED_MEMORY", tmp_path)
    assert object_store_arguments(tmp_path) == [size]
    monkeypatch.setattr(places, "SHARED_MEMORY", tmp_path / "none")
    assert object_store_arguments(tmp_path) == [size, f"--plasma-directory={tmp_path}"]
    monkeypatch.setattr(places, "OBJECT_STORE_BYTES", 10**18)
    with pytest.raises(UserError, match=r"no room for its object store \(.*none: no such file"):
        object_store_arguments(tmp_path)


def test_too_few_processes_are_refused_before_ray_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_process_limits", lambda: iter([(1000, 900, "ulimit -u")]))
    with pytest.raises(UserError, match="ulimit -u allows 1000 processes and threads, and 900 are in use; a Ray head"):
        check_process_limit(2)
    monkeypatch.setattr(places, "_process_limits", lambda: iter([(10_000, 900, "ulimit -u")]))
    check_process_limit(2)


def test_a_home_that_cannot_hold_caches_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert places.cache_problem({"HOME": str(tmp_path)}) is None
    assert places.cache_problem({"HOME": str(tmp_path / "file")}) == f"{tmp_path}/file/.cache: not a directory"
    assert places.cache_problem({"HOME": str(tmp_path / "file"), "XDG_CACHE_HOME": str(tmp_path / "cache")}) is None
