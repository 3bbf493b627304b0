"""Data sets as a table: images, masks, and a csv that names them.

The csv has one line per image with the columns `image`, `mask`, `label`, and `patient`, and optionally `slice`,
`family`, `spacing_mm`, and `fold`. Images and masks are pictures or NIfTI; a line may name a volume and its mask, which
become slices. A data set for segmentation alone needs no `label`, one for classification alone no `mask`. Where
`data.channels` names channels, a file may hold all of them, or the columns `image_NAME` name one file for each.
"""

import csv
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmran.data.images.nifti import SUFFIXES as NIFTI_SUFFIXES
from mmran.data.matlab import SliceError
from mmran.data.pids import PID_PATTERN
from mmran.data.table_columns import FOLDERS, OPTIONAL, check_needed, folder_of, image_columns, names_files, needed
from mmran.data.tasks import CLASSIFICATION, SEGMENTATION, TASKS
from mmran.errors import UserError, known_names

TABLE_NAME = "slices.csv"
NUMBERS_OF_A_VOLUME = 1000
"""Slice numbers that each line gets if it has no number, and some line names a volume."""

_LARGEST_NUMBER = 10**9 - 1
_MOST_FOLDS = 1000


@dataclass(frozen=True)
class TableRow:
    """One line of a table: an image or volume with its mask, not read yet.

    Attributes:
        where: table and line, for messages.
        images: its file; with a column for each channel, their files in the order of the channels.
        mask: the file of its mask; None in a data set without masks.
        label: class, counted from 1; 1 in a data set without classes.
        patient: identifier of the patient.
        family: patients with the same family stay together in a split by family; the patient if the table has none.
        number: slice number, of a volume's first slice.
        spacing_mm: side of a pixel; None if the file states it.
        fold: fold of the data set's authors, counted from 1; 0 if unknown.
    """

    where: str
    images: tuple[Path, ...]
    mask: Path | None
    label: int
    patient: str
    family: str
    number: int
    spacing_mm: float | None
    fold: int

    @property
    def image(self) -> Path:
        """The first of its files, which names the image in messages."""
        return self.images[0]


@dataclass
class Table:
    """What tables hold.

    Attributes:
        rows: the usable lines.
        rejects: lines that cannot be used.
        ignored: columns, and files beside the table, that are not read.
    """

    rows: list[TableRow] = field(default_factory=list)
    rejects: list[SliceError] = field(default_factory=list)
    ignored: list[SliceError] = field(default_factory=list)


def table_of(source: Path | str) -> Path | None:
    """The table of a source: a csv itself, or `slices.csv` in a folder; None if the source has none."""
    source = Path(source)
    if source.suffix.lower() == ".csv":
        return source
    return source / TABLE_NAME if (source / TABLE_NAME).is_file() else None


def named_files(table: Path) -> list[Path]:
    """Every file that a table names, whether it exists or not, in the order of the table.

    Raises:
        UserError: it is not a table.
    """
    return [
        _path_of(table, column, name)
        for _, row in _lines(table)
        for column, name in row.items()
        if name and names_files(column)
    ]


def read_tables(
    tables: Sequence[Path], classes: Sequence[str], tasks: Sequence[str] = TASKS, channels: Sequence[str] = ()
) -> Table:
    """Read the lines of tables; the files that they name are looked up but not opened.

    Args:
        tables: the csv files.
        classes: names of the classes in the order of their labels.
        tasks: what the data set is for; a column that no task needs is not read.
        channels: names of the channels of an image, in order; empty for gray images.

    Raises:
        UserError: a file is not a table, or a column is missing.
    """
    found, all_lines = Table(), {table: _lines(table) for table in tables}
    columns = {table: image_columns(table, tuple(lines[0][1]), channels) for table, lines in all_lines.items() if lines}
    step = numbering_step(
        values[name] for table, images in columns.items() for _, values in all_lines[table] for name in images
    )
    n_before = 0
    for table, lines in all_lines.items():
        names, images = tuple(lines[0][1]) if lines else (), columns.get(table, ())
        if lines:
            check_needed(table, names, tasks)
        for column in (name for name in names if name not in (*images, *needed(tasks)[1:], *OPTIONAL)):
            found.ignored.append(SliceError(str(table), f"column {column!r} is not read"))
        for place, (line, values) in enumerate(lines, start=n_before + 1):
            try:
                found.rows.append(_row(table, f"{table} line {line}", values, images, classes, tasks, place * step))
            except SliceError as error:
                found.rejects.append(error)
        n_before += len(lines)
        found.ignored += _unnamed(table)
    if not found.rows and not found.rejects:
        raise UserError(f"{', '.join(map(str, tables))}: no line below the header; add one line per image")
    _refuse_shared_images(found)
    _refuse_two_families(found)
    return found


def _lines(table: Path) -> list[tuple[int, dict[str, str]]]:
    """Line number and values of every line below the header, blanks stripped."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            if twice := [name for name, n in Counter(names).items() if n > 1]:
                raise UserError(f"{table}: has the column {twice[0]} twice; remove one")
            check_needed(table, names, ())
            return [(reader.line_num, _values(table, reader.line_num, row)) for row in reader]
    except OSError as error:
        raise UserError(f"{table}: cannot be read ({error.strerror}); expected a csv of images and masks") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table}: is not a csv in UTF-8 ({error}); save it again as one") from error


def _values(table: Path, line: int, row: dict[str, str]) -> dict[str, str]:
    if None in row or None in row.values():
        n = len([value for key, value in row.items() if key is not None and value is not None])
        found = "more" if None in row else str(n)
        raise UserError(f"{table} line {line}: has {found} values, expected one per column; quote values with commas")
    return {name: value.strip() for name, value in row.items()}


def numbering_step(images: Iterable[str]) -> int:
    """Distance of the slice numbers of two lines without a number.

    It depends on names alone: which files are readable, and how many slices they hold, moves no number.
    """
    return NUMBERS_OF_A_VOLUME if any(name.lower().endswith(NIFTI_SUFFIXES) for name in images) else 1


def _row(
    table: Path,
    where: str,
    values: dict[str, str],
    images: Sequence[str],
    classes: Sequence[str],
    tasks: Sequence[str],
    automatic: int,
) -> TableRow:
    patient = _identifier(where, "patient", values["patient"])
    return TableRow(
        where,
        images=tuple(_existing(table, where, column, values[column]) for column in images),
        mask=_existing(table, where, "mask", values["mask"]) if SEGMENTATION in tasks else None,
        label=_label(where, values["label"], classes) if CLASSIFICATION in tasks else 1,
        patient=patient,
        family=_identifier(where, "family", values.get("family") or patient),
        number=_whole(where, "slice", values["slice"], _LARGEST_NUMBER) if "slice" in values else automatic,
        spacing_mm=_spacing(where, values["spacing_mm"]) if values.get("spacing_mm") else None,
        fold=_whole(where, "fold", values["fold"], _MOST_FOLDS) if values.get("fold") else 0,
    )


def _path_of(table: Path, column: str, name: str) -> Path:
    inside = table.parent / folder_of(column) / name
    return inside if "/" not in name and inside.exists() else table.parent / name


def _existing(table: Path, where: str, column: str, name: str) -> Path:
    if not name:
        raise SliceError(where, f"{column} is empty, expected a file; remove the line or name its {column}")
    path = _path_of(table, column, name)
    if not path.exists():
        raise SliceError(
            where,
            f"{column} {name!r} does not exist, expected a path from {table.parent} or a name in {folder_of(column)}/",
        )
    return path


def _label(where: str, value: str, classes: Sequence[str]) -> int:
    if value in classes:
        return classes.index(value) + 1
    if re.fullmatch("[0-9]+", value) and 1 <= int(value) <= len(classes):
        return int(value)
    raise SliceError(
        where, f"label is {value!r}, expected 1 to {len(classes)} or a name; {known_names(value, classes)}"
    )


def _identifier(where: str, column: str, value: str) -> str:
    if not re.fullmatch(PID_PATTERN, value, re.ASCII):
        raise SliceError(
            where,
            f"{column} is {value!r}, expected ASCII characters that start with a letter or digit, without blanks and "
            "commas; rename it",
        )
    return value


def _whole(where: str, column: str, value: str, most: int) -> int:
    if not re.fullmatch("[0-9]{1,9}", value) or not 1 <= int(value) <= most:
        raise SliceError(where, f"{column} is {value!r}, expected a whole number of 1 to {most}; correct it")
    return int(value)


def _spacing(where: str, value: str) -> float:
    try:
        spacing = float(value)
    except ValueError:
        spacing = math.nan
    if not 0 < spacing < math.inf:
        raise SliceError(where, f"spacing_mm is {value!r}, expected the side of a pixel in mm, such as 0.49")
    return spacing


def _unnamed(table: Path) -> list[SliceError]:
    """Files in the folders of images and masks that no line names."""
    named = {os.path.realpath(path) for path in named_files(table)}
    files = [
        path
        for folder in FOLDERS.values()
        for path in sorted((table.parent / folder).rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    ]
    return [SliceError(str(path), f"is not in {table.name}") for path in files if os.path.realpath(path) not in named]


def _refuse_shared_images(found: Table) -> None:
    """Leave out lines that name the same image, or one twice; none is known to be right."""
    named: dict[str, list[tuple[TableRow, Path]]] = {}
    for row in found.rows:
        for path in row.images:
            named.setdefault(os.path.realpath(path), []).append((row, path))
    refused: dict[int, SliceError] = {}
    for places in named.values():
        for i, (row, path) in enumerate(places) if len(places) > 1 else ():
            other = places[1 - i][0] if i < 2 else places[0][0]
            reason = f"names the image {path}, as does {other.where}; keep one"
            if other is row:
                reason = f"names the image {path} for two channels, expected a file for each"
            refused.setdefault(id(row), SliceError(row.where, reason))
    found.rejects += refused.values()
    found.rows = [row for row in found.rows if id(row) not in refused]


def _refuse_two_families(found: Table) -> None:
    """Leave out the lines of a patient in two families."""
    first: dict[str, TableRow] = {}
    torn = {row.patient for row in found.rows if first.setdefault(row.patient, row).family != row.family}
    for row in [row for row in found.rows if row.patient in torn]:
        reason = f"patient {row.patient} is in several families, such as {row.family}; a patient has one"
        found.rejects.append(SliceError(row.where, reason))
        found.rows.remove(row)
