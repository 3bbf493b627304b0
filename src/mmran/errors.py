"""The exception for mistakes that the user can fix, and words for its message."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in the input, the configuration or the machine that the user can fix.

    Its text is one line that names the file or key, the value, what was expected and the remedy. The command line
    prints it without a traceback and exits with status 1. Every other exception is a bug in mmran.
    """


def known_names(name: str, names: Iterable[str]) -> str:
    """End a message about an unknown name: suggest the nearest known name, and list all of them."""
    names = sorted(names)
    near = difflib.get_close_matches(str(name), names, 1)
    return (f"did you mean {near[0]!r}? " if near else "") + "known: " + (", ".join(names) or "none")


def reason(error: BaseException) -> str:
    """Type and text of an error of code from outside, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
