"""The reference run in the documentation: the page, the README and the archive agree."""

import csv
import re
import sys
import tarfile
from pathlib import Path

import pytest

from mmran.cli import main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
sys.path.insert(0, str(ROOT / "docs"))

from reference_run import PAGE, archive_of, filled, tables  # noqa: E402


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked results."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive_of("reference")) as tar:
        tar.extractall(folder, filter="data")
    return folder / "reference"


def test_the_pages_tables_are_those_of_the_run() -> None:
    page = PAGE.read_text()
    runs = re.findall("<!-- from the run (.+?): ", page)
    assert len(runs) > 6
    for run in set(runs):
        assert filled(page, run, tables(archive_of(run))) == page


def cells(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        label = (reader.fieldnames or [""])[0]
        return {row[label]: row for row in reader}


def test_the_readmes_numbers_are_those_of_the_run(run: Path) -> None:
    """`row | paper | ours | ...`, such as `MMRAN + PKP, Dice (%) | 80.03 | 58.70 [51.0, 64.0] | ...`."""
    row_of_table = r"^\| (.+), (Dice|accuracy) \(%\) \| ([\d.]+) \| ([\d.]+) \[([\d.]+), ([\d.]+)\] .*`(patient|paper)`"
    rows = re.findall(row_of_table, README, re.MULTILINE)
    assert len(rows) >= 4
    for label, metric, published, ours, low, high, protocol in rows:
        name = {"Dice": "dice", "accuracy": "acc"}[metric]
        row = cells(run / "tables" / protocol / "table2.csv")[f"Baseline + {label.replace('MMRAN', 'MRAM')}"]
        assert (float(row[f"paper_{name}"]), round(float(row[name]), 2)) == (float(published), float(ours))
        assert (row[f"{name}_low"], row[f"{name}_high"]) == (low, high)


def test_the_first_looks_numbers_are_those_of_its_run(tmp_path: Path) -> None:
    """`all | 388 | 66.52 [60.4, 73.2] | ... | 91.24 [85.0, 96.3] | ...` and one such row for each class."""
    with tarfile.open(archive_of("first-look")) as tar:
        tar.extractall(tmp_path, filter="data")
    run = tmp_path / "first-look" / "tables" / "patient"
    strata = re.findall(r"^\| mmran \| class: (.+) \|$", (run / "strata.md").read_text(), re.MULTILINE)
    everywhere = re.findall(r"^\| (MMRAN) \|(.+) \|$", (run / "table2.md").read_text(), re.MULTILINE)
    known = {cells[0]: [cells[1], cells[3], cells[6]] for cells in (line.split(" | ") for line in strata)}
    known["all"] = [cell.strip().replace("**", "") for cell in everywhere[0][1].split(" | ")]
    page = (ROOT / "docs" / "first-look.md").read_text()
    shown = re.findall(r"^\| ([a-z ]+) \| (\d+) \| ([^|]+) \| [^|]+ \| ([^|]+) \|", page, re.MULTILINE)
    assert {label.removesuffix(" tumor"): numbers for label, *numbers in shown} == known


def test_a_cell_of_the_page_is_followed_to_its_slices(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = run / "tables" / "patient" / "table2.csv"
    assert main(["trace", str(table), "Baseline + MRAM", "dice"]) == 0
    told = capsys.readouterr().out
    assert f"{float(cells(table)['Baseline + MRAM']['dice']):.2f}" in told.splitlines()[0]
    assert "test slices" in told
    assert "lowest" in told


def test_the_archive_names_no_place_of_the_machine_that_trained(run: Path) -> None:
    texts = [path.read_text() for path in run.rglob("*") if path.suffix in (".json", ".md", ".csv")]
    assert len(texts) > 300
    assert not [text for text in texts if re.search(r'"/(home|root|work|tmp|data)/', text)]
