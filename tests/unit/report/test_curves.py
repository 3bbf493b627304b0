from pathlib import Path

import matplotlib.style
import pandas as pd
import pytest

from mmran.errors import UserError
from mmran.report.figures import curves, style
from mmran.report.figures.curves import curve, read_histories
from tests.unit.report.evaluated import ROWS, read, row_of, spec_of


def history(**columns) -> pd.DataFrame:
    return pd.DataFrame({"seed": 7, "fold": 0, **columns})


def test_a_curve_is_the_mean_of_the_trials_that_have_the_epoch():
    frame = pd.concat(
        [history(epoch=[0, 1, 2], val_dice=[0.1, 0.3, 0.5]), history(epoch=[0, 1], val_dice=[0.3, 0.5]).assign(seed=9)]
    )
    found = curve(row_of([]), frame, "val_dice")
    assert found.epochs.tolist() == [1, 2, 3]
    # .1 and .3, .3 and .5, then .5 alone
    assert found.values.tolist() == pytest.approx([0.2, 0.4, 0.5])


def test_a_network_without_the_metric_has_no_curve():
    assert curve(row_of([]), history(epoch=[0], loss=[1.0]), "val_acc") is None
    assert curve(row_of([]), history(epoch=[0], val_acc=[None]), "val_acc") is None


def test_a_missing_or_damaged_history_is_one_line(tmp_path):
    row = row_of([], predictions=tmp_path / "predictions.h5")
    with pytest.raises(UserError, match=r"history\.csv: no such file; train net first"):
        read_histories(row)
    (tmp_path / "history.csv").write_text("seed,fold,loss\n7,0,1\n")
    with pytest.raises(UserError, match=r"history\.csv: lacks the column epoch; train net again"):
        read_histories(row)


def test_every_network_has_its_line_in_each_panel_it_has_a_metric_for(results, tmp_path):
    rows = []
    for i, row in enumerate(read(results, ROWS)):
        folder: Path = tmp_path / row.experiment
        folder.mkdir()
        columns = {"val_dice": [0.2, 0.4]} if row.segments else {}
        columns |= {"val_acc": [0.5, 0.6]} if row.classifies else {}
        history(epoch=[0, 1], loss=[1.0, 0.5 - i * 0.1], **columns).to_csv(folder / "history.csv", index=False)
        rows.append(row_of([], label=row.label, style=row.style, predictions=folder / "p.h5", summary=row.summary))
    with matplotlib.style.context(["default", style.RC]):
        drawing = curves.draw(spec_of("curves"), rows)
        loss, dice, accuracy = drawing.figure.axes
        drawn = [[line for line in axes.lines if len(line.get_xdata())] for axes in (loss, dice, accuracy)]
    assert [len(lines) for lines in drawn] == [3, 2, 2]
    assert drawn[1][0].get_ydata().tolist() == pytest.approx([20, 40])
    assert drawn[2][-1].get_color() == style.color(rows[-1].style)
    assert "Without validation Dice: Classifier." in drawing.caption
    assert "Without validation Acc: Segmenter et al. Protocol" in drawing.caption


def test_losses_within_a_decade_can_be_read(results, tmp_path):
    row = row_of([], label="MMRAN", predictions=tmp_path / "p.h5", summary=read(results, ROWS)[0].summary)
    history(epoch=[0, 1, 2], loss=[0.63, 0.2, 0.07]).to_csv(tmp_path / "history.csv", index=False)
    with matplotlib.style.context(["default", style.RC]):
        loss = curves.draw(spec_of("curves"), [row]).figure.axes[0]
        low, high = loss.get_ylim()
        shown = [value for value in loss.yaxis.get_majorticklocs() if low <= value <= high]
    assert shown == pytest.approx([0.1, 0.2, 0.5])
