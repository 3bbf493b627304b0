"""Files and slices of one source that contradict each other: both are left out, since neither is known to be right."""

from pathlib import Path

from mmran.data.cheng import parse_cvind
from mmran.data.matlab import SliceError
from mmran.data.sources import Entry, FileEntry, Source
from mmran.data.store_writer import WaitingSlice


class Rejects:
    """The files that a conversion leaves out.

    Attributes:
        keep_going: whether unusable files are left out; if not, the first one ends the conversion.
        found: what is wrong with each.
    """

    def __init__(self, keep_going: bool) -> None:
        self.keep_going = keep_going
        self.found: list[SliceError] = []

    def add(self, error: SliceError) -> None:
        """Leave a file out.

        Raises:
            SliceError: the error itself, unless unusable files are left out.
        """
        if not self.keep_going:
            raise error
        self.found.append(error)


def refuse_shared_numbers(source: Source, rejects: Rejects) -> list[tuple[int, Entry]]:
    """Leave out files that claim the same slice number.

    Args:
        source: the files.
        rejects: receives the files left out.

    Returns:
        The slice numbers that one file claims, with that file.
    """
    singles = []
    for number, candidates in source.entries.items():
        entries = _different_files(candidates)
        if len(entries) == 1:
            singles.append((number, entries[0]))
            continue
        for entry in entries:
            other = next(e.file for e in entries if e is not entry)
            rejects.add(SliceError(entry.file, f"has slice number {number}, as does {other}; keep one"))
    return singles


def refuse_two_labels(rows: list[WaitingSlice], rejects: Rejects) -> list[WaitingSlice]:
    """Leave out every slice of a patient with two labels.

    Args:
        rows: all slices.
        rejects: receives the files left out.

    Returns:
        The other slices.
    """
    first: dict[str, WaitingSlice] = {}
    contradictions: dict[str, WaitingSlice] = {}
    for row in rows:
        known = first.setdefault(row.facts["pid"], row)
        if known.facts["label"] != row.facts["label"]:
            contradictions.setdefault(row.facts["pid"], row)
    for row in rows:
        other = contradictions.get(row.facts["pid"])
        if other is None:
            continue
        if other.facts["label"] == row.facts["label"]:
            other = first[row.facts["pid"]]
        reason = (
            f"patient {row.facts['pid']} has label {row.facts['label']} here and "
            f"{other.facts['label']} in {other.file}; a patient has one tumor type"
        )
        rejects.add(SliceError(row.file, reason))
    return [row for row in rows if row.facts["pid"] not in contradictions]


def published_folds(source: Source, rejects: Rejects) -> dict[int, int]:
    """Read the published folds.

    Args:
        source: holds a `cvind.mat`, or several that agree.
        rejects: receives the damaged ones, and the first one that differs.

    Returns:
        Slice number -> fold, from 1; empty without a usable `cvind.mat`.
    """
    lists: list[tuple[Entry, dict[int, int]]] = []
    for entry in _different_files(source.cvinds):
        try:
            lists.append((entry, parse_cvind(entry.read(), entry.file)))
        except SliceError as error:
            rejects.add(error)
    published = lists[0][1] if lists else {}
    for entry, other in lists[1:]:
        if other != published:
            rejects.add(SliceError(entry.file, f"differs from {lists[0][0].file}; keep the right one"))
            published = {}
            break
    return published


def _different_files(entries: list[Entry]) -> list[Entry]:
    """The entries without duplicates of one file, such as links to it or a folder given twice."""
    kept: list[Entry] = []
    for entry in entries:
        if not any(_is_same_file(entry, other) for other in kept):
            kept.append(entry)
    return kept


def _is_same_file(one: Entry, other: Entry) -> bool:
    try:
        return isinstance(one, FileEntry) and isinstance(other, FileEntry) and Path(one.file).samefile(other.file)
    except OSError:
        return False
