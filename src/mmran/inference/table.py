"""predictions.csv and truth.csv: lines are added file by file, so that an interrupted run continues."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from types import TracebackType
from typing import Any, TextIO

from mmran.data.images.find import Found
from mmran.errors import UserError
from mmran.files import ensure_dir, read_json, write_json, write_text
from mmran.inference.measure import SliceRow, TruthRow, csv_lines

PREDICTIONS, TRUTH, SETTINGS = "predictions.csv", "truth.csv", "segment.json"


class Table:
    """The csv files of an output folder; a context manager.

    Attributes:
        kept: names of the images that already had outputs.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], images: Iterable[Found], *, masks: bool, overwrite: bool
    ) -> None:
        """Read what an earlier run left, and drop the lines of images whose outputs are not complete.

        Args:
            folder: the output folder.
            settings: what decides the outputs; JSON values.
            images: those of this run.
            masks: whether each image gets a mask.
            overwrite: keep nothing of an earlier run.

        Raises:
            UserError: the folder holds outputs under other settings, or cannot be written.
        """
        self.folder = ensure_dir(folder)
        if overwrite:
            for name in (SETTINGS, PREDICTIONS, TRUTH):
                (folder / name).unlink(missing_ok=True)
        self._check_settings(dict(settings))
        rows = _complete_rows(folder / PREDICTIONS)
        known = {row["file"] for row in rows}
        missing = {
            one.name for one in images if masks and not all(path.is_file() for path in one.file.mask_paths(one.base))
        }
        self.kept = known - missing
        self._rewrite(PREDICTIONS, rows)
        self._rewrite(TRUTH, _rows(folder / TRUTH))
        self._open: dict[str, TextIO] = {}

    def _check_settings(self, settings: dict[str, Any]) -> None:
        path = self.folder / SETTINGS
        found = read_json(path) if path.is_file() else None
        if found is None:
            write_json(path, settings)
        elif found != settings:
            names = found.keys() | settings.keys() if isinstance(found, dict) else set()
            differing = sorted(name for name in names if found.get(name) != settings.get(name))
            raise UserError(
                f"{path}: the folder holds outputs with another {', '.join(differing) or 'setting'}; choose another "
                "--output, or add --overwrite"
            )

    def _rewrite(self, name: str, rows: list[dict[str, str]]) -> None:
        path = self.folder / name
        if path.is_file():
            kept = [row for row in rows if row["file"] in self.kept]
            write_text(path, csv_lines(kept, header=True) if kept else "")

    def add(self, rows: Sequence[SliceRow], truths: Sequence[TruthRow]) -> None:
        """Add the lines of one image, after its outputs were written.

        Raises:
            UserError: the file cannot be written.
        """
        # The truth first: lines in predictions.csv mark an image as done.
        for name, values in ((TRUTH, [vars(row) for row in truths]), (PREDICTIONS, [row.values() for row in rows])):
            if values:
                self._append(name, values)

    def _append(self, name: str, values: Sequence[Mapping[str, Any]]) -> None:
        path = self.folder / name
        try:
            if name not in self._open:
                self._open[name] = path.open("a", encoding="utf-8", newline="")
            file = self._open[name]
            file.write(csv_lines(values, header=file.tell() == 0))
            file.flush()
        except OSError as error:
            raise UserError(
                f"{path}: cannot be written ({error.strerror}); make room or make it writable, and give the same "
                "command again"
            ) from error

    def truth_line(self) -> str:
        """Mean Dice, median HD95 and accuracy over all lines of truth.csv, each with the number of its slices."""
        rows = _rows(self.folder / TRUTH)
        parts = []
        for name, key, average, scale, unit in (
            ("Dice", "dice", fmean, 100, " %"),
            ("median HD95", "hd95_mm", median, 1, " mm"),
            ("median HD95", "hd95_px", median, 1, " px"),
            ("accuracy", "correct", fmean, 100, " %"),
        ):
            values = [float(row[key]) for row in rows if row[key]]
            if values and (key != "hd95_px" or not any(row["hd95_mm"] for row in rows)):
                parts.append(f"{name} {scale * average(values):.2f}{unit} of {len(values)}")
        return "truth: " + (", ".join(parts) or "no image has a true mask or label")

    def __enter__(self) -> "Table":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._open.values():
            file.close()


def _rows(path: Path) -> list[dict[str, str]]:
    """The complete lines of a csv; none if it is absent. A killed process may have left part of a line."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
    if reader.fieldnames and "file" not in reader.fieldnames:
        raise UserError(f"{path}: is not a table of mmran segment (no column file); choose another --output")
    return list(reader)


def _complete_rows(path: Path) -> list[dict[str, str]]:
    """The lines of images that have as many lines as slices."""
    rows = _rows(path)
    n = Counter(row["file"] for row in rows)
    return [row for row in rows if row.get("slices") == str(n[row["file"]])]
