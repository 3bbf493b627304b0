"""The csv of subgroups in a configuration: what it reruns, and when it is refused."""

from pathlib import Path

import pytest

from mmran.config.reruns import judge
from mmran.errors import UserError
from tests.unit.config.finished import finish, small


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_an_edit_of_subgroups_compares_again() -> None:
    finish(small())
    Path("scanners.csv").write_text("pid,scanner\nP1,A\n")
    named = {"subgroups": "scanners.csv"}
    assert judge(small(**named)).counts() == {"compare": 1, "overview": 1}
    finish(small(**named))
    assert judge(small(**named)).counts() == {}
    Path("scanners.csv").write_text("pid,scanner\nP1,B\n")
    assert judge(small(**named)).counts() == {"compare": 1, "overview": 1}


def test_subgroups_that_cannot_be_read_are_found_before_the_first_job() -> None:
    with pytest.raises(UserError, match=r"scanners\.csv: No such file or directory; expected a csv of subgroups"):
        small(subgroups="scanners.csv")
