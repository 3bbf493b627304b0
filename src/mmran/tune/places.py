"""Folders and limits that a Ray head needs, checked before it starts."""

import contextlib
import fcntl
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from mmran.errors import UserError

# The path of a Unix socket ends at 107 bytes. Ray's longest is this deep in its folder, which is in ours.
_LONGEST_SOCKET = "/ray-12345678/r/session_2026-11-25_18-27-40_893578_4194304/sockets/plasma_store"
PARENT_BYTES = 107 - len(_LONGEST_SOCKET)

FOLDER_BYTES = 50_000_000
"""Free space for Ray's logs."""

OBJECT_STORE_BYTES = 100_000_000
"""Size of Ray's object store. Trials pass small records; Ray would reserve a third of the machine's memory."""

SHARED_MEMORY = Path("/dev/shm")

# A head takes 140 threads and each worker about 50 (measured with Ray 2.60).
_HEAD_THREADS, _WORKER_THREADS = 150, 60


@contextlib.contextmanager
def scratch_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new folder with mode 0700, and remove it at the end.

    First removes the folders that killed processes left there. A folder belongs to a live process as long as that
    process holds the lock file in it; the kernel releases the lock when the process ends.

    Args:
        parent: an existing folder.
        prefix: of the folder's name.
    """
    _remove_abandoned(parent, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    with (folder / ".owner.new").open("w") as file:
        with contextlib.suppress(OSError):  # a file system without locks: nothing is ever swept there
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Renamed when it is locked: without its final name the folder is not swept.
            Path(file.name).rename(folder / "owner.lock")
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(parent: Path, prefix: str) -> None:
    for lock in parent.glob(f"{prefix}*/owner.lock"):
        with contextlib.suppress(OSError), lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)


def short_parent(environment: Mapping[str, str] = os.environ) -> Path:
    """A writable folder with a name short enough for Ray's sockets, TMPDIR if possible.

    Raises:
        UserError: there is none; gives the reason for each folder.
    """
    candidates = [("TMPDIR=", environment.get("TMPDIR", "")), ("", "/tmp"), ("", "/var/tmp")]
    candidates.append(("XDG_RUNTIME_DIR=", environment.get("XDG_RUNTIME_DIR", "")))
    problems = []
    for variable, name in candidates:
        if not name:
            continue
        problem = _problem(name)
        if problem is None:
            return Path(name)
        problems.append(f"{variable}{name}: {problem}")
    raise UserError(
        f"Ray has no folder for its sockets ({'; '.join(problems)}); set TMPDIR to a writable local folder whose name "
        f"has at most {PARENT_BYTES} characters, or train with `mmran train --no-ray`"
    )


def _problem(name: str) -> str | None:
    """Why Ray cannot have its sockets below a folder; None if it can."""
    if len(os.fsencode(name)) > PARENT_BYTES:
        return f"a name of {len(os.fsencode(name))} characters"
    return unusable(Path(name), FOLDER_BYTES)


def cache_problem(environment: Mapping[str, str] = os.environ) -> str | None:
    """Why programs cannot keep caches in the user's home; None if they can. Snakemake does not start without."""
    name = environment.get("XDG_CACHE_HOME") or f"{environment.get('HOME', '~')}/.cache"
    folder = Path(name).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError) as error:
        return f"{folder}: {str(getattr(error, 'strerror', None) or error).lower()}"
    return None


def unusable(folder: Path, n_bytes: int) -> str | None:
    """Why a folder cannot hold `n_bytes`; None if it can."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return str(error.strerror).lower()
    return f"{free / 1e6:.0f} MB free of {n_bytes / 1e6:.0f} needed" if free < n_bytes else None


def object_store_arguments(scratch: Path) -> list[str]:
    """Arguments of `ray start` for its object store: in shared memory, or in a folder if there is none.

    Raises:
        UserError: neither has room.
    """
    arguments = [f"--object-store-memory={OBJECT_STORE_BYTES}"]
    problem = unusable(SHARED_MEMORY, OBJECT_STORE_BYTES)
    if problem is None:
        return arguments
    if room := unusable(scratch, OBJECT_STORE_BYTES):
        raise UserError(
            f"Ray has no room for its object store ({SHARED_MEMORY}: {problem}; {scratch.parent}: {room}); free one of "
            "them, start the container with a larger --shm-size, or train with `mmran train --no-ray`"
        )
    return [*arguments, f"--plasma-directory={scratch}"]


def check_process_limit(cpus: int) -> None:
    """Refuse a machine that lets us start too few processes: Ray would hang for minutes.

    Args:
        cpus: CPUs of the head, which is how many workers it may start.

    Raises:
        UserError: the limit of processes is too low.
    """
    needed = _HEAD_THREADS + _WORKER_THREADS * cpus
    for limit, used, name in _process_limits():
        if limit - used < needed:
            raise UserError(
                f"{name} allows {limit} processes and threads, and {used} are in use; a Ray head with {cpus} CPUs "
                f"starts about {needed}; raise the limit, lower the CPUs, or train with `mmran train --no-ray`"
            )


def _process_limits() -> Iterator[tuple[int, int, str]]:
    limit, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    # Root is not limited.
    if limit != resource.RLIM_INFINITY and os.getuid() != 0:
        yield limit, _threads_of_user(), "ulimit -u"
    for folder in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/pids")):
        with contextlib.suppress(OSError, ValueError):
            most = int((folder / "pids.max").read_text())
            yield most, int((folder / "pids.current").read_text()), f"{folder}/pids.max"


def _threads_of_user() -> int:
    """Threads of all processes of this user."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            values = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
            if int(values["Uid"].split()[0]) == os.getuid():
                total += int(values["Threads"])
    return total
