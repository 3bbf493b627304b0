import pytest

from mmran.errors import UserError
from mmran.files import write_json
from mmran.statistics.trace import trace
from mmran.training.record import RunRecord
from tests.unit.statistics.samples import cases, publish

RUN = RunRecord(
    digest="a" * 64,
    experiment="net",
    seed=1,
    fold=0,
    data="d" * 64,
    split="e" * 64,
    epochs=12,
    best_epoch=7,
    best_score=0.8,
    evaluated="best",
    accumulate=1,
    seconds=1.0,
    images_per_s=1.0,
    peak_memory_mb=1.0,
    weights_sha256="b" * 64,
    history_sha256="c" * 64,
    device="cpu",
    device_name="A processor",
    precision="float32",
    threads=1,
)


@pytest.fixture
def frame():
    return cases()


@pytest.fixture
def table(tmp_path, frame):
    """A table of one row, and the results behind it."""
    folder = publish(tmp_path / "experiments" / "net" / "paper", frame)
    write_json(folder / "runs.json", [RUN.to_values()])
    path = tmp_path / "tables" / "paper" / "table4.csv"
    path.parent.mkdir(parents=True)
    missed = int(frame["missed"].sum())
    path.write_text(
        "row,n,dice,n_missed,paper_dice,experiment,variant,spec\n"
        f"Net,{len(frame)},{100 * frame['dice'].mean():.2f},{missed},80.03,net,raw,{'d' * 12}\n"
    )
    return path


def test_a_cell_leads_to_cases_weights_and_data(table, frame):
    lines = trace(table, "Net", "dice").lines()
    assert lines[0] == f"Dice (%) of Net: {100 * frame['dice'].mean():.2f}"
    text = "\n".join(lines)
    assert f"over     {len(frame)} test slices, seeds 1" in text
    assert f"trials/seed1-fold0/weights.safetensors (sha256 {'b' * 12}), best epoch 7 of 12, A processor" in text
    assert f"data     {'d' * 12}, split {'d' * 12}, spec {'d' * 12}" in text
    best = frame.sort_values("dice", kind="stable").iloc[-1]
    assert f"highest  slice {best['slice']} {100 * best['dice']:.2f}" in text


def test_a_count_names_no_single_slices(table):
    assert not any("highest" in line for line in trace(table, "Net", "n_missed").lines())


def test_a_count_of_several_seeds_has_a_decimal_in_the_table_and_in_the_trace(tmp_path):
    frame = cases(seeds=(1, 2, 3))
    folder = publish(tmp_path / "experiments" / "net" / "paper", frame)
    write_json(folder / "runs.json", [RUN.to_values()])
    path = tmp_path / "tables" / "paper" / "table4.csv"
    path.parent.mkdir(parents=True)
    mean = frame["missed"].sum() / 3
    path.write_text(f"row,n_missed,experiment,variant,spec\nNet,{mean:.1f} ± 1.0,net,raw,{'d' * 12}\n")
    assert trace(path, "Net", "n_missed").lines()[0] == f"missed of Net: {mean:.1f} ± 1.0"


def test_a_cell_that_its_cases_do_not_give_is_refused(table, frame):
    table.write_text(table.read_text().replace(f"{100 * frame['dice'].mean():.2f}", "99.99"))
    with pytest.raises(UserError, match=r"table4\.csv: dice of Net is 99\.99, but its cases give \d"):
        trace(table, "Net", "dice")


def test_another_specification_is_refused(table):
    table.write_text(table.read_text().replace("d" * 12, "f" * 12))
    with pytest.raises(UserError, match="Net was made from another specification"):
        trace(table, "Net", "dice")


def test_wrong_names_are_one_line(table):
    with pytest.raises(UserError, match=r"no row 'Nett'; did you mean 'Net'"):
        trace(table, "Nett", "dice")
    with pytest.raises(UserError, match=r"no column 'paper_dice' of ours; .*known: dice, n_missed"):
        trace(table, "Net", "paper_dice")
    with pytest.raises(UserError, match=r"table9\.csv: no such table"):
        trace(table.with_name("table9.csv"), "Net", "dice")


def test_a_copied_slice_has_no_weights(tmp_path, frame, table):
    publish(tmp_path / "experiments" / "nearest-slice" / "paper", frame.assign(experiment="nearest-slice"))
    table.write_text(table.read_text().replace(",net,raw", ",nearest-slice,raw"))
    text = "\n".join(trace(table, "Net", "dice").lines())
    assert "weights  none: class and mask of the nearest training slice are copied" in text
