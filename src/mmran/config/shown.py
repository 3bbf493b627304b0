"""What tables and figures have in common: rows of experiments, and how their specifications are read."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from mmran.config.record import Record, read_record
from mmran.config.schema import check_choice


class ShownRow(Protocol):
    """A row of a table or figure."""

    @property
    def label(self) -> str:
        """What readers call it."""
        ...

    @property
    def variant(self) -> str:
        """Which of its masks it shows."""
        ...


Row = TypeVar("Row", bound=ShownRow)


def build_rows(build: Callable[..., Row], rows: Iterable[Mapping[str, Any]]) -> tuple[Row, ...]:
    """Build the rows of a table or figure from plain values.

    Raises:
        ValueError, TypeError: there is none, or a value is missing or unknown.
    """
    built = tuple(build(**row) for row in rows)
    if not built:
        raise ValueError("rows: expected at least one")
    for row in built:
        check_choice("variant", row.variant, f"variant of row {row.label!r}")
    return built


def read_shown(path: Path | str, what: str, build: Callable[[dict[str, Any]], Record]) -> Record:
    """Read the specification of a table or figure; one without a name or title takes that of its file.

    Args:
        path: the file.
        what: "table" or "figure".
        build: makes it from plain values.

    Raises:
        UserError: the file is absent or not such a specification.
    """
    stem = Path(path).stem
    named = {"name": stem, "title": stem}
    return read_record(path, f"the specification of a {what}", lambda values: build({**named, **values}))
