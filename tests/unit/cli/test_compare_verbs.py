import pytest

from mmran.cli import main
from mmran.config.claims import Claim, ComparisonSpec
from tests.unit.statistics.samples import cases, publish

pytestmark = pytest.mark.slow


@pytest.fixture
def results(tmp_path):
    """Three experiments under one protocol."""
    folder = tmp_path / "results"
    for draw, name in enumerate(("mmran", "chen", "he")):
        publish(folder / "experiments" / name / "paper", cases(name=name, draw=draw))
    return folder


def failed(capsys, *arguments: object) -> str:
    assert main(["compare", *map(str, arguments)]) == 1
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    assert shown.out == ""
    return shown.err


def test_every_row_has_an_interval_and_a_difference_to_mmran(results, capsys):
    assert main(["compare", str(results)]) == 0
    out = capsys.readouterr().out
    assert "protocol paper: " in out
    assert "of 30 patient families" in out
    assert "Dice (%): each row minus mmran, paired over families, p after Holm" in out
    assert "Fewer than three seeds" in out
    assert out.count("  chen") == out.count("  he") == 4


def test_every_statistic_is_written(results, tmp_path):
    claims = (Claim("MMRAN is better", "mmran/raw", "chen/raw", "acc", 89.87, 86.93),)
    spec = tmp_path / "comparison.json"
    spec.write_text(ComparisonSpec(("mmran/raw", "chen/raw"), "mmran/raw", ("dice", "acc"), claims).to_json())
    written = []
    for name in ("one", "two"):
        output = tmp_path / name
        assert main(["compare", str(results), "--output", str(output), "--spec", str(spec)]) == 0
        written.append({path.name: path.read_bytes() for path in output.iterdir()})
    assert written[0] == written[1]
    names = ("calibration", "claims", "comparisons", "intervals", "perclass", "reliability", "strata", "worst")
    assert sorted(written[0]) == [f"{name}.csv" for name in names]
    assert all(text.count(b"\n") > 1 for text in written[0].values())


def test_subgroups_are_shown_apart(results, tmp_path, capsys):
    path = tmp_path / "scanners.csv"
    path.write_text("pid,scanner\n0,A\nMR1,B\n")
    tables = tmp_path / "tables"
    assert main(["compare", str(results), "--subgroups", str(path), "--tables", str(tables)]) == 0
    out = capsys.readouterr().out
    assert "Dice (%) by subgroup, 95 % interval over families" in out
    assert out.count("scanner: A") == 6
    said = "scanner: scanners.csv says nothing about "
    assert f"note: {said}" in out
    assert said in (tables / "strata.md").read_text()
    assert "| chen | scanner: B | " in (tables / "strata.md").read_text()


def test_subgroups_of_two_folders_are_one_line(results, tmp_path, capsys):
    path = tmp_path / "scanners.csv"
    path.write_text("pid,scanner\n0,A\n")
    assert "remove it or OTHER" in failed(capsys, results, results, "--subgroups", path)


def test_two_folders_are_compared_on_shared_slices(results, tmp_path, capsys):
    other = tmp_path / "other"
    frame = cases(name="chen", draw=9)
    publish(other / "experiments" / "chen" / "paper", frame[frame["slice"] > 10].reset_index(drop=True))
    assert main(["compare", str(results), str(other), "--metrics", "acc"]) == 0
    out = capsys.readouterr().out
    assert f"Acc (%): {results} minus {other}" in out
    assert "chen" in out
    assert "  he" not in out


def test_folders_without_a_shared_slice_are_one_line(results, tmp_path, capsys):
    frame = cases(name="chen")
    publish(tmp_path / "other" / "experiments" / "chen" / "paper", frame.assign(slice=frame["slice"] + 1000))
    assert "share no test slice" in failed(capsys, results, tmp_path / "other")


def test_edited_cases_are_one_line(results, capsys):
    path = results / "experiments/chen/paper/cases.csv"
    path.write_text(path.read_text().replace(",F000,", ",F001,", 1))
    assert "summary.json: not made from" in failed(capsys, results)


@pytest.mark.parametrize(("column", "value", "message"), [("family", "F000", "patient family"), ("label", 2, "class")])
def test_one_family_and_one_class_are_one_line(tmp_path, capsys, column, value, message):
    frame = cases(name="mmran")
    chosen = frame[frame[column] == value].reset_index(drop=True)
    publish(tmp_path / "experiments" / "mmran" / "paper", chosen)
    assert f"all test slices are of {message}" in failed(capsys, tmp_path)


def test_wrong_names_are_one_line(results, tmp_path, capsys):
    assert "--metrics: 'dcie' is unknown; did you mean 'dice'?" in failed(capsys, results, "--metrics", "dcie")
    assert "has no net under paper, only chen, he, mmran" in failed(capsys, results, "--rows", "net")
    assert "has no variant filled" in failed(capsys, results, "--rows", "he/filled")
    assert "--against net: is not among the rows" in failed(capsys, results, "--against", "net")
    assert "holds no evaluated experiment" in failed(capsys, tmp_path / "empty")
    assert "no experiment evaluated under protocol patient" in failed(capsys, results, "--protocol", "patient")
    publish(results / "experiments" / "he" / "patient", cases(name="he"))
    assert "has results under paper, patient; choose one" in failed(capsys, results)


def test_the_nearest_slice_says_what_it_reaches(tiny, tmp_path, capsys):
    store, split = tiny / "data" / "slices.h5", tiny / "splits" / "paper.csv"
    arguments = ["nearest-slice", "--store", store, "--split", split, "--output", tmp_path]
    assert main(list(map(str, arguments))) == 0
    assert capsys.readouterr().out.startswith("nearest-slice, protocol paper, ")
