"""Wording that messages and reports share."""


def counted(n: int, noun: str) -> str:
    """A number with its noun: 1 slice, 2 slices, 2 families."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun.removesuffix('y')}ies" if noun[-1] == "y" else f"{n} {noun}s"
