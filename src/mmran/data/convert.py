"""Converts the files of a data set to a slice store, in one pass.

The image type and the number of slices of each size are known only after the last file. Until then the slices,
in their narrowest types, wait in an unnamed temporary file in the store's folder. So memory stays small, and the
file disappears however the program ends.
"""

import contextlib
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmran.data.channels import channel_planes, checked_channels, several
from mmran.data.cheng import Slice, parse_slice
from mmran.data.classes import checked_classes
from mmran.data.contradictions import Rejects, published_folds, refuse_shared_numbers, refuse_two_labels
from mmran.data.matlab import SliceError
from mmran.data.pids import pid_family
from mmran.data.planes import Plane, plan_rows, planes, refuse_values
from mmran.data.published import CLASSES, FIELD_OF_VIEW_MM
from mmran.data.sources import Entry, Source, open_source
from mmran.data.store import DEFAULT_LAYOUT, INDEX_NAME, INDEX_TYPES, LeftOut, SliceStore, narrow, slice_digest
from mmran.data.store_writer import WaitingSlice, write_store
from mmran.data.tables import Table, read_tables, table_of
from mmran.data.tasks import CLASSIFICATION, SEGMENTATION, TASKS, checked_tasks
from mmran.errors import UserError
from mmran.files import atomic_path, sha256_file
from mmran.machine import available_cpus

Item = TypeVar("Item")
Result = TypeVar("Result")
Prepared = tuple[WaitingSlice, list[NDArray[Any]]]
"""A slice's facts, and its pixels and border as they wait to be written."""

_READERS = min(4, available_cpus())


def convert(
    sources: Sequence[Path | str],
    output: Path | str,
    *,
    field_of_view_mm: float = FIELD_OF_VIEW_MM,
    classes: Sequence[str] = CLASSES,
    channels: Sequence[str] = (),
    tasks: Sequence[str] = TASKS,
    tumor_values: Sequence[float] = (),
    keep_going: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> SliceStore:
    """Write the slices of a data set into a store, and `index.csv` beside it.

    Args:
        sources: folders, `.zip` archives or `.mat` files, of which `cvind.mat` gives the published folds; or tables of
            images and masks, and folders that hold one, see `mmran.data.tables`.
        output: the store; it and its index appear when both are complete.
        field_of_view_mm: side of the imaged square, from which the pixel spacing of each size of `.mat` files follows.
        classes: names of the classes in the order of their labels.
        channels: names of the channels of images that a table names, in order; empty for gray images.
        tasks: "segmentation" for a table without classes, "classification" for one without masks, or both.
        tumor_values: values that mean tumor in the masks of tables; every value but 0 if empty.
        keep_going: leave out unusable files and list them in the store, instead of raising.
        on_progress: called with the number of slices read and, except in volumes, the number of all slices.

    Raises:
        UserError: a bad file, no file, no permission, or a full disk. Nothing is left behind.
    """
    output = Path(output)
    if not field_of_view_mm > 0 or field_of_view_mm == float("inf"):
        raise UserError(f"field of view {field_of_view_mm} mm: expected a positive number")
    tasks = checked_tasks(tasks, "tasks")
    classes = checked_classes(classes, "classes") if CLASSIFICATION in tasks else ()
    channels = checked_channels(channels, "channels")
    refuse_values(tumor_values)
    tables = _tables_of(sources)
    if tasks != TASKS and not tables:
        raise UserError(f"tasks: {tasks[0]} alone is for tables (slices.csv); .mat files have masks and classes")
    if several(channels) and not tables:
        raise UserError(f"channels: {', '.join(channels)} are for tables (slices.csv); .mat files have one channel")
    with ExitStack() as stack:
        source = read_tables(tables, classes, tasks, channels) if tables else stack.enter_context(open_source(sources))
        # Blocks close in reverse order: the store is in place before its index is.
        index_path = stack.enter_context(atomic_path(output.with_name(INDEX_NAME)))
        store_path = stack.enter_context(atomic_path(output))
        spill = stack.enter_context(tempfile.TemporaryFile(dir=output.parent))
        rejects = Rejects(keep_going)
        known_folds: dict[int, int] = {}
        if isinstance(source, Table):
            rows = _read_table(source, spill, tuple(tumor_values), several(channels), known_folds, rejects, on_progress)
        else:
            rows = _read_all(source, spill, field_of_view_mm, classes, rejects, on_progress)
            known_folds = published_folds(source, rejects)
        rows = refuse_two_labels(rows, rejects)
        if not rows:
            raise UserError(
                f"{output}: no slice is left, all {len(rejects.found)} files are unusable, "
                f"the first: {rejects.found[0]}"
            )
        index = _index_of(rows)
        index.to_csv(index_path, index=False)
        write_store(
            store_path,
            rows,
            spill,
            layout="table" if tables else DEFAULT_LAYOUT,
            classes=classes,
            channels=several(channels),
            has_masks=SEGMENTATION in tasks,
            folds=np.array([known_folds.get(number, 0) for number in index["slice"]], dtype="<i4"),
            rejects=[LeftOut(error.file, error.reason) for error in rejects.found],
            ignored=[LeftOut(error.file, error.reason) for error in source.ignored],
            index_sha256=sha256_file(index_path),
        )
    return SliceStore(output)


def _tables_of(sources: Sequence[Path | str]) -> list[Path]:
    """The tables of all sources, or none if they are `.mat` files.

    Raises:
        UserError: only some sources have tables.
    """
    tables = [table_of(source) for source in sources]
    found = [table for table in tables if table is not None]
    if found and len(found) < len(tables):
        other = sources[tables.index(None)]
        raise UserError(
            f"{other}: has no slices.csv, but {found[0].parent} has; convert .mat files and tables separately"
        )
    return found


def _read_all(
    source: Source,
    spill: BinaryIO,
    field_of_view_mm: float,
    classes: tuple[str, ...],
    rejects: Rejects,
    on_progress: Callable[[int, int], None] | None,
) -> list[WaitingSlice]:
    for error in source.rejects:
        rejects.add(error)
    singles = refuse_shared_numbers(source, rejects)

    def prepare(item: tuple[int, Entry]) -> Prepared:
        number, entry = item
        read = parse_slice(entry.read(), entry.file, number, classes)
        return _prepared(read, entry.file, pid_family(read.pid), field_of_view_mm / read.image.shape[1])

    return _spilled(_mapped(_or_error(prepare), singles), len(singles), spill, rejects, on_progress)


def _read_table(
    table: Table,
    spill: BinaryIO,
    tumor_values: tuple[float, ...],
    channels: tuple[str, ...],
    folds: dict[int, int],
    rejects: Rejects,
    on_progress: Callable[[int, int], None] | None,
) -> list[WaitingSlice]:
    """As `_read_all`; `folds` receives the fold of every slice whose line names one."""
    for error in table.rejects:
        rejects.add(error)
    planned, faults = plan_rows(table.rows, channels)
    for error in faults:
        rejects.add(error)
    folds.update((plan.first + i, plan.row.fold) for plan in planned for i in range(plan.n))

    def prepare(plane: Plane | SliceError) -> Prepared:
        if isinstance(plane, SliceError):
            raise plane
        item, spacing_mm = plane.read()
        return _prepared(item, plane.file, plane.row.family, spacing_mm)

    found = planes(planned, tumor_values, channels, table.ignored)
    n_slices = sum(plan.n for plan in planned)
    return _spilled(_mapped(_or_error(prepare), found), n_slices, spill, rejects, on_progress)


def _or_error(prepare: Callable[[Item], Prepared]) -> Callable[[Item], Prepared | SliceError]:
    """Wrap `prepare` so that it returns what is wrong with a file instead of raising it."""

    def attempt(item: Item) -> Prepared | SliceError:
        try:
            return prepare(item)
        except SliceError as error:
            return error

    return attempt


def _spilled(
    results: Generator[Prepared | SliceError, None, None],
    n_results: int,
    spill: BinaryIO,
    rejects: Rejects,
    on_progress: Callable[[int, int], None] | None,
) -> list[WaitingSlice]:
    """The slices among the results, their pixels written to the temporary file."""
    rows = []
    # Closed here, or the threads of a failed conversion would live as long as its exception.
    with contextlib.closing(results):
        for n_read, result in enumerate(results, start=1):
            if isinstance(result, SliceError):
                rejects.add(result)
            else:
                row, pixels = result
                row.position = spill.tell()
                for part in pixels:
                    spill.write(part.data)
                rows.append(row)
            if on_progress:
                on_progress(n_read, n_results)
    spill.flush()
    return rows


def _mapped(work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
    """`map` over a few threads, in order, with few results waiting.

    Threads suffice: inflating, hashing and file access release the interpreter lock.
    """
    with ThreadPoolExecutor(_READERS) as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * _READERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _prepared(item: Slice, file: str, family: str, spacing_mm: float) -> Prepared:
    """A slice's facts, and what waits: its narrowed image, its mask with eight pixels in a byte, its border."""
    height, width = item.image.shape[-2:]
    facts = {
        "slice": item.number,
        "label": item.label,
        "pid": sys.intern(item.pid),
        "family": sys.intern(family),
        "height": height,
        "width": width,
        "spacing_mm": spacing_mm,
        "tumor_px": int(np.count_nonzero(item.mask)),
        "group": sys.intern(f"{height}x{width}"),
    }
    image = narrow(item.image)
    row = WaitingSlice(
        file=file,
        facts=facts,
        image_type=image.dtype,
        low=image.min().item(),
        high=image.max().item(),
        n_border_points=len(item.border),
        digest=slice_digest(facts, image, item.mask, item.border),
        n_channels=len(channel_planes(image)),
    )
    return row, [image, np.packbits(item.mask), np.ascontiguousarray(item.border, dtype="<f8")]


def _index_of(rows: list[WaitingSlice]) -> pd.DataFrame:
    index = pd.DataFrame([row.facts for row in rows])
    index["row"] = index.groupby("group").cumcount()
    return index[list(INDEX_TYPES)]
