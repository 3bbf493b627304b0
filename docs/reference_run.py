"""Takes a finished reference run into the documentation.

    python docs/reference_run.py results/reference
    python docs/reference_run.py results/first-look --pack-only docs/reference-run/first-look.tar.xz

It packs what `mmran trace`, `mmran compare`, and a reader need into docs/reference-run/results.tar.xz, copies figures
to docs/images, and writes the tables into the marked places of docs/real-slices.md.
"""

import argparse
import io
import re
import tarfile
from pathlib import Path, PurePosixPath

from PIL import Image

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / "real-slices.md"
ARCHIVE = DOCS / "reference-run" / "results.tar.xz"

PACKED = (
    "experiments/*/*/*.csv",
    "experiments/*/*/*.json",
    "experiments/nearest-slice/*/*",
    "data/audit.*",
    "records/[!c]*/**/*.json",
    "records/compare/*.json",
    "specs/experiments/*.json",
    "specs/tables/*.json",
    "specs/protocols/*.json",
    "specs/comparison.json",
    "splits/*",
    "statistics/**/*.csv",
    "tables/**/*.csv",
    "tables/**/*.md",
    "overview.md",
)
"""Files of a run that the archive keeps: no weights, predictions, or slices, and no record that names their folder."""

FIGURES = ("curves", "forest", "forest-ablation", "cases", "figure6", "figure7", "figure8")
WIDEST = 1600
"""Pixels; wider figures are reduced."""

# A table, or those of its rows that begin with a label.
_BLOCK = re.compile(r"(<!-- from the run: (\S+?)(?:, rows (.+?))? -->\n).*?(<!-- end -->)", re.DOTALL)


def pack(results: Path, archive: Path) -> None:
    """Write the archive; the same results give the same bytes."""
    found = sorted({path for pattern in PACKED for path in results.glob(pattern) if path.is_file()})
    archive.parent.mkdir(exist_ok=True)
    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for path in found:
            entry = tarfile.TarInfo(f"{results.name}/{path.relative_to(results).as_posix()}")
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


def filled(page: str, known: dict[str, str]) -> str:
    """The page with every marked place as the run has it.

    Raises:
        KeyError: the run has no such table.
    """

    def table(block: re.Match[str]) -> str:
        lines = known[block[2]].strip().splitlines()
        if block[3]:
            lines = [
                line
                for line in lines
                if not line.startswith("| ") or line.startswith(("|  |", "| ---", f"| {block[3]} |"))
            ]
        return "\n".join([block[1], *lines, "", block[4]])

    return _BLOCK.sub(table, page)


def copy_figures(results: Path, images: Path) -> None:
    """Copy the figures of protocol `patient`, with 256 colors and reduced to `WIDEST`."""
    for name in FIGURES:
        path = results / "figures" / "patient" / f"{name}.png"
        if not path.exists():
            continue
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        image.thumbnail((WIDEST, 10 * WIDEST), Image.Resampling.LANCZOS)
        image.quantize(256).save(images / f"reference-{name}.png", optimize=True)


def main() -> None:
    """Pack, copy, and fill in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="folder of a finished run of workflow/overlays/reference.yaml")
    parser.add_argument("--pack-only", type=Path, metavar="ARCHIVE", help="write this archive and leave the page alone")
    arguments = parser.parse_args()
    results = arguments.results.resolve()
    if not (results / "overview.md").is_file():
        parser.error(f"{results}: has no overview.md; expected the results of a finished run")
    if arguments.pack_only:
        pack(results, arguments.pack_only)
        return
    pack(results, ARCHIVE)
    copy_figures(results, DOCS / "images")
    PAGE.write_text(filled(PAGE.read_text(), tables(ARCHIVE)))


if __name__ == "__main__":
    main()
