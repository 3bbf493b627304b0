"""Records of results while a job of a run removes the files of another."""

from pathlib import Path

import pytest

from mmran.config import made
from mmran.config.jobs import plan_jobs
from mmran.config.made import Made
from mmran.errors import UserError
from mmran.files import sha256_file
from tests.unit.config.finished import small


@pytest.mark.parametrize(
    ("path", "expected"), [("overview.html", {}), ("folder/inside.txt", {"folder/inside.txt": "is missing"})]
)
def test_a_file_removed_between_two_looks_counts_as_absent(
    path: str, expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An absent output is no change; an absent file in an output folder is."""
    file = tmp_path / path
    file.parent.mkdir(exist_ok=True)
    file.write_text("a result")
    record = Made(plan_jobs(small())["overview"], {path: sha256_file(file)})
    assert record.changed_files(tmp_path) == {}

    def removed_first(path: Path) -> str:
        file.unlink()
        return sha256_file(path)

    monkeypatch.setattr(made, "sha256_file", removed_first)
    assert record.changed_files(tmp_path) == expected


def test_a_file_that_is_there_and_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(path: Path) -> str:
        raise UserError(f"{path}: cannot be read (Permission denied)")

    (tmp_path / "overview.html").write_text("a result")
    job = plan_jobs(small())["overview"]
    monkeypatch.setattr(made, "sha256_file", unreadable)
    with pytest.raises(UserError, match=r"overview\.html: cannot be read"):
        Made(job, {"overview.html": "0"}).changed_files(tmp_path)
