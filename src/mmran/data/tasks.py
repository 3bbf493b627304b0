"""What a data set says of its images, and so what networks can learn from it: masks, classes, or both."""

from collections.abc import Sequence
from typing import Final

from mmran.errors import UserError, known_names

SEGMENTATION: Final = "segmentation"
CLASSIFICATION: Final = "classification"
TASKS: Final = (SEGMENTATION, CLASSIFICATION)


def checked_tasks(tasks: Sequence[str], where: str) -> tuple[str, ...]:
    """The tasks in the order of `TASKS`.

    Args:
        tasks: one or both.
        where: the option or key, for the message.

    Raises:
        UserError: there is none, or one is unknown.
    """
    if unknown := [name for name in tasks if name not in TASKS]:
        raise UserError(f"{where}: no task {unknown[0]!r}; {known_names(unknown[0], TASKS)}")
    if not tasks:
        raise UserError(f"{where}: names no task; expected {' or '.join(TASKS)}, or both")
    return tuple(name for name in TASKS if name in tasks)
