"""The runs in the documentation: pages, README, and archives agree."""

import csv
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from mmran.cli import main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
GPU_PAGE = (ROOT / "docs" / "gpu.md").read_text()
sys.path.insert(0, str(ROOT / "docs"))

from reference_run import PAGE, RUNS, archive_of, filled, tables  # noqa: E402


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all unpacked runs."""
    folder = tmp_path_factory.mktemp("unpacked")
    for run in (*RUNS, "h100"):
        with tarfile.open(archive_of(run)) as tar:
            tar.extractall(folder, filter="data")
    return folder


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


def test_the_readmes_numbers_are_those_of_the_runs(unpacked: Path) -> None:
    """`row | paper | ours | ...`, such as `MMRAN + PKP, Dice (%) | 80.03 | 58.70 [51.0, 64.0] | ...`."""
    row_of_table = r"^\| (.+), (Dice|accuracy) \(%\) \| ([\d.]+) \| ([\d.]+) \[([\d.]+), ([\d.]+)\] \| (.+) \|$"
    rows = re.findall(row_of_table, README, re.MULTILINE)
    assert len(rows) >= 6
    for label, metric, published, ours, low, high, where in rows:
        protocol = "paper" if "`paper`" in where else "patient"
        run = "first-look" if "first look" in where else "reference"
        name = {"Dice": "dice", "accuracy": "acc"}[metric]
        table = cells(unpacked / run / "tables" / protocol / "table2.csv")
        row = table[label if run == "first-look" else f"Baseline + {label.replace('MMRAN', 'MRAM')}"]
        assert round(float(row[name]), 2) == float(ours)
        assert (row[f"{name}_low"], row[f"{name}_high"]) == (low, high)
        printed = (
            row if run != "first-look" else cells(unpacked / "reference/tables/patient/table2.csv")["Baseline + MRAM"]
        )
        assert float(printed[f"paper_{name}"]) == float(published)


def test_the_first_looks_numbers_are_those_of_its_run(unpacked: Path) -> None:
    """`all | 388 | 66.52 [60.4, 73.2] | ... | 91.24 [85.0, 96.3] | ...` and one such row for each class."""
    run = unpacked / "first-look" / "tables" / "patient"
    strata = re.findall(r"^\| mmran \| class: (.+) \|$", (run / "strata.md").read_text(), re.MULTILINE)
    everywhere = re.findall(r"^\| (MMRAN) \|(.+) \|$", (run / "table2.md").read_text(), re.MULTILINE)
    known = {cells[0]: [cells[1], cells[3], cells[6]] for cells in (line.split(" | ") for line in strata)}
    known["all"] = [cell.strip().replace("**", "") for cell in everywhere[0][1].split(" | ")]
    page = (ROOT / "docs" / "first-look.md").read_text()
    shown = re.findall(r"^\| ([a-z ]+) \| (\d+) \| ([^|]+) \| [^|]+ \| ([^|]+) \|", page, re.MULTILINE)
    assert {label.removesuffix(" tumor"): numbers for label, *numbers in shown} == known


def test_a_cell_of_the_page_is_followed_to_its_slices(unpacked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = unpacked / "reference" / "tables" / "patient" / "table2.csv"
    assert main(["trace", str(table), "Baseline + MRAM", "dice"]) == 0
    told = capsys.readouterr().out
    assert f"{float(cells(table)['Baseline + MRAM']['dice']):.2f}" in told.splitlines()[0]
    assert "test slices" in told
    assert "lowest" in told


@pytest.mark.parametrize(("name", "n_texts"), [("reference", 550), ("first-look", 30), ("h100", 19)])
def test_an_archive_names_no_place_of_the_machine_that_trained(name: str, n_texts: int, unpacked: Path) -> None:
    texts = [path.read_text() for path in (unpacked / name).rglob("*") if path.suffix in (".json", ".md", ".csv")]
    assert len(texts) > n_texts
    assert not [text for text in texts if re.search(r'"/(home|root|work|tmp|data)/', text)]


@pytest.mark.parametrize("protocol", ["patient", "paper"])
def test_the_gpu_pages_results_are_those_of_its_files(
    protocol: str, unpacked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`| `patient` | 546 | Dice and accuracy with intervals | reference run minus these |`."""
    (shown,) = re.findall(rf"^\| `{protocol}` \| (.+) \|$", GPU_PAGE, re.MULTILINE)
    for arguments in ([str(unpacked / "h100")], [str(unpacked / "reference"), str(unpacked / "h100")]):
        assert main(["compare", *arguments, "--protocol", protocol, "--rows", "dynamic", "--against", "dynamic"]) == 0
    told = capsys.readouterr().out
    numbers = re.findall(r"^ +dynamic +(-?[\d.]+) +(\[.+?\])", told, re.MULTILINE)
    n = re.findall(r"(\d+) test slices", told)[0]
    assert shown.split(" | ") == [n, *(" ".join(number) for number in numbers)]


def test_the_gpu_pages_steps_are_those_that_were_printed(unpacked: Path) -> None:
    printed = re.findall(
        r" ([\d.]+) ms .+ ([\d.]+) TFLOP/s +([\d.]+) % .+ ([\d.]+) GiB", (unpacked / "h100/steps.txt").read_text()
    )
    shown = re.findall(r"([\d.]+) \| (\d+) \| ([\d.]+) \| ([\d.]+) \|$", GPU_PAGE, re.MULTILINE)
    assert len(shown) == len(printed) == 13
    for precise, rounded in zip(printed, shown, strict=True):
        assert float(rounded[0]) == pytest.approx(float(precise[0]), abs=0.051)
        assert float(rounded[1]) == pytest.approx(float(precise[1]), abs=0.51)
        assert rounded[2:] == precise[2:]


def test_every_file_that_the_readme_shows_is_there() -> None:
    """The build of the documentation checks those of its pages."""
    named = re.findall(r"\]\(([^)#:\s]+)(?:#\S+)?\)", README)
    assert len(named) > 20
    assert [name for name in named if "../actions/" not in name and not (ROOT / name).exists()] == []


def test_a_broken_link_stops_the_documentation(tmp_path: Path) -> None:
    """As the Makefile builds it: with `--quiet`, `--strict` counts no warning."""
    command = re.findall(r"mkdocs build.*", (ROOT / "Makefile").read_text())
    (tmp_path / "docs").mkdir()
    (tmp_path / "mkdocs.yml").write_text("site_name: broken\n")
    (tmp_path / "docs" / "index.md").write_text("![nothing](images/absent.png)\n")
    assert len(command) == 2
    for one in command:
        done = subprocess.run([sys.executable, "-m", *one.split()], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode != 0
        assert "absent.png" in done.stderr
