"""What each result was made from: the job's specification and its files, recorded when the job ends.

results/records/STAGE/...json
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmran.config.fingerprints import Fingerprint
from mmran.config.job import Job, code_as_now, read_job
from mmran.config.source_files import Contents, list_source, read_contents, refreshed
from mmran.errors import UserError
from mmran.files import read_json, sha256_file, write_json

# Read every time; for larger files, size and times are compared first.
_SMALL_BYTES = 2**20

Known = str | int | Fingerprint
"""SHA-256 of a small file, fingerprint of a large one; earlier versions recorded the size of a large one."""


@dataclass(frozen=True)
class Made:
    """The record of a job that has ended.

    Attributes:
        job: what it was made from.
        files: path below the results -> what identifies the file; includes files in the job's folders.
        source: fingerprints of the source's files, for the job that reads them.
    """

    job: Job
    files: Mapping[str, Known]
    source: Contents = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, results: Path, job: Job) -> "Made":
        """Make the record of a job that ends now; reads its files and those of the source."""
        files = {name: _known(results / name) for name in _files(results, job)}
        return cls(job, files, read_contents(job.values.get("files", {})))

    def write(self, results: Path) -> None:
        """Write the record where `read` finds it."""
        files = {
            name: known.to_values() if isinstance(known, Fingerprint) else known for name, known in self.files.items()
        }
        values = {"job": dataclasses.asdict(self.job), "digest": self.job.digest, "files": files}
        if self.source:
            values["source"] = {
                place: {name: known.to_values() for name, known in found.items()}
                for place, found in self.source.items()
            }
        write_json(record_path(results, self.job.name), values)

    @classmethod
    def read(cls, results: Path, name: str) -> "Made | None":
        """The record of a job; None if it is absent or damaged."""
        try:
            values = read_json(record_path(results, name))
            job = Job(**{**values["job"], "outputs": tuple(values["job"]["outputs"])})
            files = {
                path: Fingerprint.from_values(known) if isinstance(known, list) else known
                for path, known in values["files"].items()
            }
            source = {
                place: {path: Fingerprint.from_values(known) for path, known in found.items()}
                for place, found in values.get("source", {}).items()
            }
            return cls(job, files, source) if job.digest == values["digest"] else None
        except (UserError, OSError, KeyError, TypeError, ValueError, AttributeError):
            return None

    def changed_files(self, results: Path, *, read: bool = False) -> dict[str, str]:
        """Files that are not as the job left them.

        Args:
            results: the folder of results.
            read: also read large files whose size and times are as recorded.

        Returns:
            Path -> what happened to it. A missing output is not listed, because it matters only to jobs that ask for
            it; a missing file inside an output folder is.
        """
        changed = {}
        for path, known in self.files.items():
            present = _is_as_known(results / path, known, read=read)
            if present is False:
                changed[path] = "was edited after it was made"
            elif present is None and path not in self.job.outputs:
                changed[path] = "is missing"
        return changed

    def with_times_as_now(self, results: Path) -> "Made":
        """The same record with the present times of unchanged files, so that they need not be read again."""
        files = dict(self.files)
        for path, known in self.files.items():
            if isinstance(known, Fingerprint) and (results / path).is_file():
                now = Fingerprint.of(results / path, read=False)
                if not now.has_times_of(known) and known.is_content_of(results / path):
                    files[path] = dataclasses.replace(now, sha256=known.sha256)
        return Made(self.job, files, refreshed(self.source))


def all_made(results: Path) -> Iterator[Made]:
    """The record of every finished job in a folder of results, in the order of their names."""
    folder = results / "records"
    for path in sorted(folder.rglob("*.json")):
        made = Made.read(results, path.relative_to(folder).with_suffix("").as_posix())
        if made is not None:
            yield made


def record_path(results: Path, name: str) -> Path:
    """Path of a job's record."""
    return results / "records" / f"{name}.json"


def job_path(results: Path, name: str) -> Path:
    """Path of a job's specification."""
    return results / "specs" / "jobs" / f"{name}.json"


@contextlib.contextmanager
def recorded(path: Path | None) -> Iterator[None]:
    """Run the block that does a job, then record what its results were made from.

    Args:
        path: the specification of the job, in `specs/jobs`; None outside the workflow.

    Raises:
        UserError: the code, or a file of the source, changed after the run began.
    """
    if path is None:
        yield
        return
    job = read_job(path)
    results = path.parents[len(Path(job.name).parts) + 1]
    now = code_as_now(job)
    if changed := sorted(name for name in now.keys() | job.code.keys() if now.get(name) != job.code.get(name)):
        raise UserError(
            f"{job.name}: the source of {', '.join(changed)} changed after this run began; run snakemake again: a "
            "result must be recorded with the code that made it"
        )
    yield
    before = Made.read(results, job.name)
    listed = job.values.get("files", {})
    if list_source(listed, listed, before.source if before else {}) != listed:
        raise UserError(
            f"{job.name}: a file of the source ({', '.join(listed)}) changed while it was read; run snakemake again"
        )
    Made.of(results, job).write(results)


def _files(results: Path, job: Job) -> Iterator[str]:
    """The existing files of a job, relative to the results, including those in its folders."""
    for name in job.outputs:
        path = results / name
        if path.is_dir():
            found = sorted(one for one in path.rglob("*") if one.is_file() and not one.name.startswith("."))
            yield from (one.relative_to(results).as_posix() for one in found)
        elif path.is_file():
            yield name


def _known(path: Path) -> Known:
    return sha256_file(path) if path.stat().st_size <= _SMALL_BYTES else Fingerprint.of(path)


def _is_as_known(path: Path, known: Known, *, read: bool) -> bool | None:
    """Whether a file is as recorded; None if there is none, also if a job of a run removes it in between."""
    if not path.is_file():
        return None
    try:
        if isinstance(known, str):
            return sha256_file(path) == known
        if isinstance(known, int):
            return path.stat().st_size == known
        return (not read and Fingerprint.of(path, read=False).has_times_of(known)) or known.is_content_of(path)
    except (OSError, UserError):
        if path.is_file():
            raise
        return None


def job_json(job: Job) -> dict[str, Any]:
    """The plain values of a job's specification."""
    return dataclasses.asdict(job)
