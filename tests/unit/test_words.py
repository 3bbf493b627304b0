"""Wording that messages and reports share."""

import pytest

from mmran.words import counted


@pytest.mark.parametrize(
    ("n", "noun", "expected"),
    [(1, "slice", "1 slice"), (2, "slice", "2 slices"), (0, "more file", "0 more files"), (3, "family", "3 families")],
)
def test_a_number_agrees_with_its_noun(n: int, noun: str, expected: str) -> None:
    assert counted(n, noun) == expected
