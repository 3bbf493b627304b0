"""The one exception that means: the user can mend this."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in the input, the configuration or the machine that the user can mend.

    Its text is one line naming the file or key, the value found, what was expected and the remedy. The command
    line prints it without a traceback and exits with 1; every other exception is a defect of mmran.
    """


def known_names(name: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest of the known ones, and all of them."""
    names = sorted(names)
    near = difflib.get_close_matches(str(name), names, 1)
    return (f"did you mean {near[0]!r}? " if near else "") + "known: " + (", ".join(names) or "none")
