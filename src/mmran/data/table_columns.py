"""The columns of a table: which ones it needs, which ones name images, and where their files are looked up."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from mmran.data.tasks import CLASSIFICATION, SEGMENTATION, TASKS
from mmran.errors import UserError

NEEDED_FOR = {"image": TASKS, "mask": (SEGMENTATION,), "label": (CLASSIFICATION,), "patient": TASKS}
"""Required column -> the tasks that need it."""
OPTIONAL = ("slice", "family", "spacing_mm", "fold")
FOLDERS = {"image": "images", "mask": "masks"}
"""Column -> folder beside the table in which a bare file name is looked up first."""

CHANNEL_PREFIX = "image_"
"""What precedes the name of a channel in the name of a column."""


def needed(tasks: Sequence[str]) -> list[str]:
    """The columns that a table of some tasks has; `image` and `patient` are in every table."""
    return [name for name, needing in NEEDED_FOR.items() if needing == TASKS or set(needing) & set(tasks)]


def check_needed(table: Path, names: Sequence[str], tasks: Sequence[str]) -> None:
    """Refuse a table without a column that every table, or one of these tasks, needs.

    Raises:
        UserError: names the column.
    """
    missing = [name for name in needed(tasks) if name not in names]
    if missing[:1] == ["image"] and _channel_columns(names):
        missing.remove("image")  # `image_columns` knows which of them are needed
    if not missing:
        return
    name, needing = missing[0], NEEDED_FOR[missing[0]]
    others = [task for task in TASKS if task not in needing and set(needed([task])) <= set(names)]
    remedy = f"; without it, set data.tasks to [{', '.join(others)}]" if others else ""
    raise UserError(
        f"{table}: lacks the column {name}; expected {','.join((*NEEDED_FOR, *OPTIONAL))}, of which "
        f"{', '.join(OPTIONAL)} are optional, found {','.join(names) or 'nothing'}{remedy}"
    )


def _channel_columns(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(CHANNEL_PREFIX)]


def image_columns(table: Path, names: Collection[str], channels: Sequence[str]) -> tuple[str, ...]:
    """The columns that name images: one for each channel, or the column `image`.

    Raises:
        UserError: the table has neither, or lacks some channels.
    """
    columns = tuple(f"{CHANNEL_PREFIX}{channel}" for channel in channels)
    missing = [column for column in columns if column not in names]
    if columns and not missing:
        return columns
    if "image" in names and len(missing) == len(columns):
        return ("image",)
    found = _channel_columns(names)
    if not columns:
        listed = ", ".join(name.removeprefix(CHANNEL_PREFIX) for name in found)
        raise UserError(
            f"{table}: lacks the column image, but has {', '.join(found)}; name the channels, data.channels: [{listed}]"
        )
    raise UserError(
        f"{table}: lacks the column {missing[0]}, but data.channels is [{', '.join(channels)}]; expected "
        f"{','.join(columns)}, or the column image for files that hold all channels; found {','.join(names)}"
    )


def names_files(column: str) -> bool:
    """Whether a column holds names of files."""
    return column in FOLDERS or column.startswith(CHANNEL_PREFIX)


def folder_of(column: str) -> str:
    """The folder of a column that names files."""
    return FOLDERS.get(column, FOLDERS["image"])
