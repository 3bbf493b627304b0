"""Names of the classes of a data set: the published ones, or those that `data.classes` of a configuration lists.

Labels are numbers counted from 1 in the order of the names. Files of the published classes do not repeat their names.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from mmran.data.published import CLASSES
from mmran.errors import UserError

NAME_PATTERN: Final = r"(?!macro$)(?!.*_(released|low|high|sd)$)[A-Za-z0-9][A-Za-z0-9_-]*"
"""Names become parts of columns such as `p_glioma` and `auc_glioma`, beside `auc_macro` and `auc_glioma_low`."""


def checked_classes(names: Sequence[str], where: str) -> tuple[str, ...]:
    """The names as a tuple.

    Args:
        names: in the order of the labels.
        where: the option or key, for the message.

    Raises:
        UserError: fewer than two names, a name twice, or one that cannot be part of a column.
    """
    if wrong := [name for name in names if not re.fullmatch(NAME_PATTERN, name, re.ASCII)]:
        raise UserError(
            f"{where}: {wrong[0]!r} is no usable name; use letters, digits, - and _; macro and the endings _released, "
            "_low, _high and _sd are taken"
        )
    if len(names) < 2 or len(set(names)) < len(names):
        raise UserError(f"{where}: found {', '.join(names)}; expected two or more different names")
    return tuple(names)


def classes_attribute(classes: Sequence[str]) -> dict[str, str]:
    """The HDF5 attribute that says the classes, an empty list where there are none; absent for the published ones."""
    return {} if tuple(classes) == CLASSES else {"classes": json.dumps(list(classes))}


def read_classes(attributes: Any) -> tuple[str, ...]:
    """The classes that HDF5 attributes say."""
    return tuple(map(str, json.loads(attributes["classes"]))) if "classes" in attributes else CLASSES


def known_labels(classes: Sequence[str]) -> str:
    """The labels in words: "1, 2 or 3"."""
    numbers = [str(i) for i in range(1, len(classes) + 1)]
    return f"{', '.join(numbers[:-1])} or {numbers[-1]}"


def class_title(name: str) -> str:
    """What readers call a class: the name, blanks for underscores."""
    return "pituitary tumor" if name == "pituitary" else name.replace("_", " ")
