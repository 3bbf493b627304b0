"""history.csv: read back as written, and one line for a damaged one."""

from pathlib import Path

import pytest

from mmran.errors import UserError
from mmran.training.history import HistoryRow, read_history, write_history

COARSE = HistoryRow(0, "coarse", 0.25, {"loss": 1.5, "dice_loss": 1.25}, {"learning_rate": 0.5}, val_dice=0.25)
CLASSES = HistoryRow(1, "classes", 0.75, {"loss": 2.0, "focal_loss": 2.0}, val_acc=0.75, device="cpu", threads=2)


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [COARSE, CLASSES]
    write_history(
        tmp_path / "history.csv", [HistoryRow(**vars(row) | {"device": "cpu", "precision": "x"}) for row in rows]
    )
    found = read_history(tmp_path / "history.csv")
    assert [row.losses for row in found] == [COARSE.losses, CLASSES.losses]
    assert [row.values for row in found] == [{"learning_rate": 0.5}, {}]
    assert [(row.val_dice, row.val_acc, row.score) for row in found] == [(0.25, None, 0.25), (None, 0.75, 0.75)]


def test_columns_stand_in_one_order_and_a_task_that_is_not_trained_is_empty(tmp_path: Path) -> None:
    write_history(tmp_path / "history.csv", [COARSE, CLASSES])
    header, first, _ = (tmp_path / "history.csv").read_text().splitlines()
    assert header == (
        "epoch,stage,loss,dice_loss,learning_rate,focal_loss,val_dice,val_acc,score,images_per_s,seconds,"
        "device,precision,threads"
    )
    assert first.split(",")[5:8] == ["", "0.25", ""]


def test_no_file_is_no_history(tmp_path: Path) -> None:
    assert read_history(tmp_path / "history.csv") == []


@pytest.mark.parametrize(
    "text", ["epoch,stage\n0,joint\n", "epoch\n\x00", "epoch,stage,score,device\n0,j,x,cpu\n", "a,b\n1,2,3\n"]
)
def test_a_damaged_history_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(UserError, match=r"history\.csv: not the history of a training"):
        read_history(tmp_path / "history.csv")
