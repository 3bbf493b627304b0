import numpy as np
import pandas as pd
import pytest

from mmran.data.published import CLASSES
from mmran.errors import UserError
from mmran.evaluation.cases import case_columns, read_cases, write_cases
from tests.unit.evaluation.conftest import certain, ring, solid


def test_cases_that_are_absent_or_lack_a_column_are_named(tmp_path):
    with pytest.raises(UserError, match=r"cases\.csv: no such file"):
        read_cases(tmp_path / "cases.csv")
    (tmp_path / "cases.csv").write_text("experiment,protocol\nmmran,paper\n")
    with pytest.raises(UserError, match=r"cases\.csv: lacks the column seed"):
        read_cases(tmp_path / "cases.csv")


def test_cases_come_back_bit_for_bit(run, tmp_path):
    # 0.7 is no float32: its neighbor has nine significant digits, and Dice of 16/17 seventeen.
    written, _ = run((1, 7, 0, ring(), np.array([0.7, 0.2, 0.1])), (2, 7, 0, solid(), certain(3)))
    path = tmp_path / "again" / "cases.csv"
    write_cases(path, written)
    assert path.read_bytes() == (tmp_path / "out/cases.csv").read_bytes()
    pd.testing.assert_frame_equal(read_cases(path), written, check_exact=True)


def test_a_patient_called_na_keeps_its_name(run, tmp_path):
    run((1, 7, 0, ring(), certain(1)))
    path = tmp_path / "out/cases.csv"
    path.write_text(path.read_text().replace(",101A,", ",NA,"))
    assert read_cases(path)["pid"].tolist() == ["NA"] * 3


@pytest.mark.parametrize(("old", "new"), [("mmran,paper,7,", "mmran,paper,seven,"), (",1.0,", ",one,")])
def test_a_value_that_is_no_number_is_one_line(run, tmp_path, old, new):
    run((1, 7, 0, ring(), certain(1)))
    path = tmp_path / "out/cases.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(
        UserError, match=r"cases\.csv: not a whole cases\.csv \(.*\); run `mmran evaluate` again"
    ) as error:
        read_cases(path)
    assert "\n" not in str(error.value)


def test_cases_without_a_row_are_refused(tmp_path):
    (tmp_path / "cases.csv").write_text(",".join(case_columns(CLASSES)) + "\n")
    with pytest.raises(UserError, match="holds no case"):
        read_cases(tmp_path / "cases.csv")
