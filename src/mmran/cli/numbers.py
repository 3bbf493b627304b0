"""Types of numbers on the command line; argparse prints their message beside the option."""

from argparse import ArgumentTypeError


def at_least_one(text: str) -> int:
    """An integer of at least 1."""
    return _integer(text, 1)


def not_negative(text: str) -> int:
    """An integer of at least 0."""
    return _integer(text, 0)


def _integer(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise ArgumentTypeError(f"{text}: expected an integer of at least {least}")
    return value
