"""How many slices a plan counts, before there are any."""

from pathlib import Path

import pytest

from mmran.errors import UserError
from mmran.planning.slices import Slices, count_slices
from tests.unit.planning.plans import config


def test_slices_are_those_of_the_published_set_until_there_are_some(tmp_path: Path, tiny: Path) -> None:
    # 8:1:1 of 3064 is 2451.2, 306.4 and 306.4.
    assert count_slices(config(tmp_path), "paper") == Slices(2451, 306, 306, 1, "the published data set")
    # Three of five folds train, one validates, one tests.
    fifths = Slices(1838, 613, 613, 5, "the published data set")
    assert count_slices(config(tmp_path), "patient") == fifths
    undeclared = config(tmp_path, protocols={"published": {"method": "cvind", "apart": "pid"}})
    assert count_slices(undeclared, "published") == fifths
    found = count_slices(config(tiny), "paper")
    assert (found.train, found.val, found.test, found.folds) == (62, 8, 8, 1)


def test_the_phantoms_slices_are_counted_without_drawing_them(tmp_path: Path, tiny: Path) -> None:
    phantom = {"data": {"phantom": {"patients": 15, "size": 32, "seed": 3}}, "source": "phantom"}
    slices = count_slices(config(tmp_path, **phantom), "paper")
    assert sum((slices.train, slices.val, slices.test)) == pytest.approx(78, abs=1)


def test_a_csv_of_ones_own_is_counted_before_it_is_a_split(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    protocols = {"mine": {"method": "file", "apart": "none", "path": str(path)}}
    found = config(tmp_path, protocols=protocols)
    with pytest.raises(UserError, match=r"mine\.csv: not a readable split .* expected a csv with columns"):
        count_slices(found, "mine")
    path.write_text("slice,fold,role\n1,0,train\n2,0,train\n3,0,val\n4,0,test\n")
    assert count_slices(found, "mine") == Slices(2, 1, 1, 1, str(path))


def test_the_lines_of_a_table_are_counted_before_they_are_converted(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for number in range(20):
            (tmp_path / folder / f"{number}.png").touch()
    table = tmp_path / "slices.csv"
    table.write_text("image,mask,label,patient\n" + "".join(f"{n}.png,{n}.png,1,P{n // 2}\n" for n in range(20)))
    assert count_slices(config(tmp_path / "results", source=str(tmp_path)), "paper") == Slices(16, 2, 2, 1, str(table))
