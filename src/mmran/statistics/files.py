"""Statistics as csv: one line per record, the same bytes for the same cases."""

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmran.files import write_text

DIGITS = 12
"""Significant digits of a number: more than any reader needs, few enough to hide another library's rounding."""


def to_csv(kind: type, records: Sequence[Any]) -> str:
    """One line per record, below the names of its fields.

    Args:
        kind: the dataclass of the records, which names the columns where there is no record.
        records: instances of it.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in dataclasses.fields(kind))
    writer.writerows([csv_value(value) for value in dataclasses.astuple(record)] for record in records)
    return text.getvalue()


def write_csv(path: Path, kind: type, records: Sequence[Any]) -> None:
    """Write records as csv, atomically."""
    write_text(path, to_csv(kind, records))


def csv_value(value: Any, digits: int = DIGITS) -> str:
    """One value as the text of a csv cell: empty for None, 0 or 1 for a boolean, and never a formula.

    Args:
        value: a number, a boolean, a text, or None.
        digits: significant digits of a float.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    text = str(value)
    # A spreadsheet evaluates a cell that begins like a formula.
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
