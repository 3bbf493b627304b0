"""What each result was made from: the job's specification and its files, recorded when the job ends.

results/records/STAGE/...json
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmran.config.jobs import Job, code_as_now, read_job
from mmran.errors import UserError
from mmran.files import read_json, sha256_file, write_json

# Larger files are known by their size; the stages that read them check digests inside.
_HASHED_BYTES = 2**20


@dataclass(frozen=True)
class Made:
    """The record of a job that has ended.

    Attributes:
        job: what it was made from.
        files: path below the results -> SHA-256 of a small file, number of bytes of a large one.
    """

    job: Job
    files: Mapping[str, str | int]

    def write(self, results: Path) -> None:
        """Write it where `read` looks for it."""
        write_json(record_path(results, self.job.name), dataclasses.asdict(self) | {"digest": self.job.digest})

    @classmethod
    def read(cls, results: Path, name: str) -> "Made | None":
        """The record of a job; None where there is none that can be read, which is as good as none."""
        try:
            values = read_json(record_path(results, name))
            job = Job(**{**values["job"], "outputs": tuple(values["job"]["outputs"])})
            return cls(job, dict(values["files"])) if job.digest == values["digest"] else None
        except (UserError, OSError, KeyError, TypeError, ValueError):
            return None

    def changed_files(self, results: Path) -> list[str]:
        """Files that were edited or replaced after the job ended; a file that was removed is none of them."""
        return [
            path
            for path, known in self.files.items()
            if (results / path).is_file() and _fingerprint(results / path) != known
        ]


def record_path(results: Path, name: str) -> Path:
    """Where the record of a job lies."""
    return results / "records" / f"{name}.json"


def job_path(results: Path, name: str) -> Path:
    """Where the specification of a job lies."""
    return results / "specs" / "jobs" / f"{name}.json"


@contextlib.contextmanager
def recorded(path: Path | None) -> Iterator[None]:
    """Do the work of a job, and record what it was made from when it has been done.

    Args:
        path: the specification of the job, which lies in `specs/jobs`; None outside of the workflow.

    Raises:
        UserError: the source is no longer the one that the run began with.
    """
    if path is None:
        yield
        return
    job = read_job(path)
    now = code_as_now(job)
    if changed := sorted(name for name in now.keys() | job.code.keys() if now.get(name) != job.code.get(name)):
        raise UserError(
            f"{job.name}: the source of {', '.join(changed)} changed after this run began; run snakemake again: the "
            "result has to be recorded under the code that makes it"
        )
    yield
    results = path.parents[len(Path(job.name).parts) + 1]
    Made(job, fingerprints(results, job)).write(results)


def fingerprints(results: Path, job: Job) -> dict[str, str | int]:
    """What a job's files are known by: path -> SHA-256 of a small one, number of bytes of a large one."""
    return {name: _fingerprint(results / name) for name in job.outputs if (results / name).is_file()}


def _fingerprint(path: Path) -> str | int:
    size = path.stat().st_size
    return sha256_file(path) if size <= _HASHED_BYTES else size


def job_json(job: Job) -> dict[str, Any]:
    """The plain values of a job's specification."""
    return dataclasses.asdict(job)
