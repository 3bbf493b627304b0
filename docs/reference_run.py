"""Takes a finished run into the documentation.

    python docs/reference_run.py reference results/reference
    python docs/reference_run.py first-look results/first-look

It packs what `mmran trace`, `mmran compare`, and a reader need into docs/reference-run/NAME.tar.xz, copies figures to
docs/images/NAME-*.png where the documentation shows them, and writes the tables into the places of docs/real-slices.md
that are marked with the name.
"""

import argparse
import io
import re
import tarfile
from pathlib import Path, PurePosixPath

from PIL import Image

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / "real-slices.md"
RUNS = ("reference", "first-look")

PACKED = (
    "experiments/*/*/*.csv",
    "experiments/*/*/*.json",
    "data/audit.*",
    "records/[!c]*/**/*.json",
    "records/compare/*.json",
    "specs/experiments/*.json",
    "specs/tables/*.json",
    "specs/protocols/*.json",
    "specs/comparison.json",
    "specs/subgroups.csv",
    "splits/*",
    "statistics/**/*.csv",
    "tables/**/*.csv",
    "tables/**/*.md",
    "overview.md",
)
"""Files of a run that the archive keeps: no weights, predictions, or slices, and no record that names their folder."""

WIDEST = 1600
"""Pixels; wider figures are reduced."""

# A table, or those of its rows that begin with a label.
_BLOCK = re.compile(r"(<!-- from the run (\S+): (\S+?)(?:, rows (.+?))? -->\n).*?(<!-- end -->)", re.DOTALL)


def archive_of(run: str) -> Path:
    """The archive of a run."""
    return DOCS / "reference-run" / f"{run}.tar.xz"


def pack(results: Path, run: str) -> None:
    """Write the archive; the same results give the same bytes."""
    archive = archive_of(run)
    found = sorted({path for pattern in PACKED for path in results.glob(pattern) if path.is_file()})
    archive.parent.mkdir(exist_ok=True)
    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for path in found:
            entry = tarfile.TarInfo(f"{run}/{path.relative_to(results).as_posix()}")
            content = path.read_bytes()
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def tables(archive: Path) -> dict[str, str]:
    """`patient/table2` -> the table with its notes, in Markdown."""
    with tarfile.open(archive) as tar:
        members = [one for one in tar if PurePosixPath(one.name).match("tables/*/*.md")]
        texts = {one.name: tar.extractfile(one) for one in members}
        return {
            "/".join(PurePosixPath(name).with_suffix("").parts[-2:]): file.read().decode()
            for name, file in texts.items()
            if file is not None
        }


def filled(page: str, run: str, known: dict[str, str]) -> str:
    """The page with every place that is marked with the run's name as the run has it.

    Raises:
        KeyError: the run has no such table.
    """

    def table(block: re.Match[str]) -> str:
        opening, named, name, row, end = block.groups()
        if named != run:
            return block[0]
        lines = known[name].strip().splitlines()
        if row:
            lines = [
                line for line in lines if not line.startswith("| ") or line.startswith(("|  |", "| ---", f"| {row} |"))
            ]
        return "\n".join([opening, *lines, "", end])

    return _BLOCK.sub(table, page)


def copy_figures(results: Path, run: str) -> None:
    """Copy the figures of protocol `patient` that a page shows, with 256 colors and reduced to `WIDEST`."""
    pages = "".join(path.read_text() for path in (DOCS.parent / "README.md", *DOCS.glob("*.md")))
    for name in sorted(set(re.findall(rf"images/{run}-([a-z0-9-]+)\.png", pages))):
        with Image.open(results / "figures" / "patient" / f"{name}.png") as opened:
            image = opened.convert("RGB")
        image.thumbnail((WIDEST, 10 * WIDEST), Image.Resampling.LANCZOS)
        image.quantize(256).save(DOCS / "images" / f"{run}-{name}.png", optimize=True)


def main() -> None:
    """Pack, copy, and fill in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", choices=RUNS, help="name of the run in the documentation")
    parser.add_argument("results", type=Path, help="folder of a finished run")
    arguments = parser.parse_args()
    run, results = arguments.run, arguments.results.resolve()
    if not (results / "overview.md").is_file():
        parser.error(f"{results}: has no overview.md; expected the results of a finished run")
    pack(results, run)
    copy_figures(results, run)
    PAGE.write_text(filled(PAGE.read_text(), run, tables(archive_of(run))))


if __name__ == "__main__":
    main()
