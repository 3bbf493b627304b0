"""What one verb of the command line is."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Verb:
    """One verb: `mmran NAME ...`.

    Attributes:
        name: the word a person types.
        help: one line for the list of verbs.
        description: what it reads, what it writes, and an example.
        arguments: adds the verb's arguments to its parser.
        run: does the work; raises UserError for what the user can mend. Imports what is heavy itself, so that
            `mmran --help` answers at once.
    """

    name: str
    help: str
    description: str
    arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], None]
