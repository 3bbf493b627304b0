"""How a typed record is read from its JSON file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from mmran.errors import UserError
from mmran.files import parse_json, read_text

Record = TypeVar("Record")


def read_record(path: Path | str, what: str, build: Callable[[dict[str, Any]], Record]) -> Record:
    """Read a JSON file and build the record that it holds.

    Args:
        path: the file.
        what: what it must be, such as "the specification of a table".
        build: makes the record; raises ValueError, TypeError, KeyError or AttributeError if it cannot.

    Raises:
        UserError: the file is absent, is not JSON or does not hold such a record.
    """
    return parse_record(read_text(path), path, what, build)


def parse_record(text: str, path: Path | str, what: str, build: Callable[[dict[str, Any]], Record]) -> Record:
    """Build a record from the text of its JSON file; see `read_record`."""
    values = parse_json(text, path)
    try:
        return build(dict(values))
    except KeyError as error:
        reason = f"{error} is missing"
    except (TypeError, ValueError, AttributeError) as error:
        reason = str(error)
    raise UserError(f"{path}: not {what} ({' '.join(reason.split())}); run snakemake to write it again")
