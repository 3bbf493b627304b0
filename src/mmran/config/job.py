"""One job of the workflow, and the digest that decides whether it reruns.

The digest covers a job's values, its code, and the digests of the jobs whose results it reads. Equal digests mean equal
results, so the digest alone decides what reruns. File times, Snakemake's records, and the location of the results do
not matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mmran.config.provenance import code_digests
from mmran.errors import UserError
from mmran.files import canonical_json, read_json, sha256_text


@dataclass(frozen=True)
class Job:
    """One job of the workflow.

    Attributes:
        name: its stage and the values of its wildcards, such as "train/se/paper".
        values: what the configuration says.
        code: module -> digest of the source that decides the result.
        inputs: name -> digest of the jobs whose results it reads.
        outputs: its files, below the folder of results.
    """

    name: str
    values: Mapping[str, Any]
    code: Mapping[str, str]
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()

    @property
    def stage(self) -> str:
        """The rule that runs it."""
        return self.name.partition("/")[0]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that decides what the job writes."""
        parts = {"job": self.name, "values": self.values, "code": self.code, "inputs": self.inputs}
        return sha256_text(canonical_json(parts))


def code_as_now(job: Job) -> dict[str, str]:
    """Digests of the job's modules as their source is now."""
    return code_digests(job.code)


def read_job(path: Path) -> Job:
    """Read the specification of a job.

    Raises:
        UserError: it is absent or not one.
    """
    values = read_json(path)
    try:
        return Job(**{**values, "outputs": tuple(values["outputs"])})
    except (TypeError, KeyError) as error:
        raise UserError(f"{path}: not the specification of a job ({error}); run snakemake to write it again") from error
