"""Subgroups that the user names in a csv."""

from pathlib import Path

import pandas as pd
import pytest

from mmran.data.subgroups import Subgroups
from mmran.errors import UserError

CASES = pd.DataFrame({"slice": [1, 2, 3, 4], "pid": ["100", "100", "MR7", "MR8"]})


def written(folder: Path, text: str) -> Path:
    path = folder / "scanners.csv"
    path.write_text(text)
    return path


def test_slices_are_grouped_by_the_values_of_a_column(tmp_path: Path) -> None:
    found = Subgroups.read(written(tmp_path, "slice,plane,scanner\n1,axial,A\n2,coronal,A\n3,axial,B\n4,,B\n"))
    strata = {name: chosen.tolist() for name, chosen in found.strata(CASES).items()}
    assert strata == {
        "plane: axial": [True, False, True, False],
        "plane: coronal": [False, True, False, False],
        "scanner: A": [True, True, False, False],
        "scanner: B": [False, False, True, True],
    }
    assert found.notes(CASES) == ["plane: scanners.csv says nothing about 1 of 4 test slices."]


def test_a_line_can_be_about_all_slices_of_a_patient(tmp_path: Path) -> None:
    found = Subgroups.read(written(tmp_path, "\ufeffpid,site\n100,Nanfang\nMR7,Tianjin\nMR8,Tianjin\n9,Tianjin\n"))
    assert found.strata(CASES)["site: Nanfang"].tolist() == [True, True, False, False]
    assert found.notes(CASES) == ["scanners.csv: 1 of its lines name no test slice."]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no column slice or pid, only an empty line"),
        ("Slice,plane\n1,axial\n", "has no column slice or pid, only Slice, plane"),
        ("slice\n1\n", "has no column besides slice"),
        ("slice,plane,plane\n1,axial,axial\n", "column 'plane' is unnamed or there twice"),
        ("slice,\n1,axial\n", "column '' is unnamed or there twice"),
        ("slice,pid\n1,100\n", "column pid means something else to mmran"),
        ("slice,size\n1,big\n", "column size means something else to mmran"),
        ("slice,plane\n1,axial\n1,coronal\n", "slice 1 is there twice"),
        ("slice,plane\n1,axial\n,coronal\n", "line 3 has an empty slice"),
        ("slice,plane\n1\n", "line 2 does not have the 2 cells of the first line"),
        ("slice,plane\n1,axial,3\n", "line 2 does not have the 2 cells of the first line"),
        ("slice,plane\n1, \n", "column plane is empty"),
        ("slice,age\n" + "".join(f"{i},{i}\n" for i in range(21)), "column age has 21 distinct values, at most 20"),
        ('slice,plane\n1,"axial\n', "is no csv"),
    ],
)
def test_a_csv_that_makes_no_groups_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UserError) as error:
        Subgroups.read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [None, b"slice,plane\n1,\xff\n"])
def test_a_file_that_cannot_be_read_is_one_line(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "scanners.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"scanners\.csv: (No such file|is no csv)"):
        Subgroups.read(path)


def test_a_csv_about_other_slices_is_refused(tmp_path: Path) -> None:
    found = Subgroups.read(written(tmp_path, "slice,plane\n901,axial\n"))
    with pytest.raises(UserError, match="says nothing about any test slice; expected values of slice such as 1"):
        found.strata(CASES)
