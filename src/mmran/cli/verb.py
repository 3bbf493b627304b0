"""A verb of the command line."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Verb:
    """One verb: `mmran NAME ...`.

    Attributes:
        name: the word that the user types.
        help: one line for the list of verbs.
        description: what it does, then the lines `reads:`, `writes:` and `example:`.
        arguments: adds the verb's arguments to its parser.
        run: does the work; raises UserError for the user's mistakes. Imports heavy modules itself, so that
            `mmran --help` answers at once.
    """

    name: str
    help: str
    description: str
    arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], None]
