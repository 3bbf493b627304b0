"""The verb `segment`: a package and image files -> masks, overlays and predictions.csv.

    files -> read and prepare (threads) -> batches -> networks (this thread) -> measure and write (threads)

Slices of several files share a batch. A file's outputs appear together, and its lines in predictions.csv last, so an
interrupted run continues with the files that have no lines.
"""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmran.config.experiment import Experiment
from mmran.data.images.base import suffixed
from mmran.data.images.find import Found
from mmran.data.images.pictures import write_picture
from mmran.data.matlab import SliceError
from mmran.errors import UserError
from mmran.inference.measure import SliceRow, TruthRow
from mmran.inference.model import Model, Prepared, Raw, checked_image
from mmran.inference.options import Options
from mmran.inference.overlay import overlay
from mmran.inference.progress import Progress
from mmran.inference.record import SPEC
from mmran.inference.table import Table
from mmran.inference.truth import Truth
from mmran.inference.weights import choose_device
from mmran.training.device import Compute

AHEAD = 2
"""Batches that are read ahead of the networks, and batches that may wait for their measurement."""

OVERLAY = "_overlay.png"


class _Open:
    """A file in progress.

    Attributes:
        found: the file.
        n: number of its slices.
        rows, masks: one per slice; None until it is finished, and in `masks` for a network without masks.
        shown: the slice of the overlay, that with the largest mask: its rank, pixels, window and mask.
        left: slices that are not finished.
        failed: why it failed.
    """

    def __init__(self, found: Found, n: int) -> None:
        self.found, self.n, self.left = found, n, n
        self.rows: list[SliceRow | None] = [None] * n
        self.masks: list[NDArray[np.bool_] | None] = [None] * n
        self.shown: tuple[tuple[int, int], NDArray[Any], Prepared, NDArray[np.bool_] | None] | None = None
        self.failed: UserError | None = None
        self.lock = threading.Lock()


@dataclass
class _Task:
    """A slice on its way to the networks."""

    file: _Open
    i: int
    ready: "Future[tuple[NDArray[Any], Prepared]]"


@dataclass(frozen=True)
class Outcome:
    """The files that a run wrote, those that were already there, and those that failed, with the reason."""

    written: int
    kept: int
    failed: tuple[UserError, ...]


class Segmentation:
    """One run over image files.

    Args:
        model: the loaded package.
        options: how to segment.
        table: predictions.csv, and truth.csv if there is a truth.
        truth: what is known about the images, or None.
        progress: shows the user progress and problems.
    """

    def __init__(
        self,
        model: Model,
        options: Options,
        table: Table,
        truth: Truth | None,
        progress: Progress,
    ) -> None:
        self.model, self.options, self.table, self.truth = model, options, table, truth
        self._batch = options.batch or model.batch_size
        self._progress = progress
        self._failed: list[UserError] = []
        self._written = 0

    def run(self, images: Sequence[Found]) -> Outcome:
        """Segment all images that have no outputs yet.

        Raises:
            UserError: an output cannot be written; what is finished is kept.
        """
        todo = [one for one in images if one.name not in self.table.kept]
        self._progress.start(len(todo))
        finishing: deque[tuple[_Task, Future[None]]] = deque()
        with ThreadPoolExecutor(self.options.jobs) as pool:
            try:
                for batch in self._batches(todo, pool):
                    # The networks run in this thread; measuring and writing overlap with the next batch.
                    raw = self.model.run([task.ready.result()[1] for task in batch], flips=self.options.flips)
                    for row, task in enumerate(batch):
                        finishing.append((task, pool.submit(self._finish_slice, task, raw, row)))
                    self._collect(finishing, at_most=AHEAD * self._batch)
                self._collect(finishing, at_most=0)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return Outcome(self._written, len(images) - len(todo), tuple(self._failed))

    def _batches(self, todo: Sequence[Found], pool: ThreadPoolExecutor) -> Iterator[list[_Task]]:
        """Full batches of prepared slices, in order."""
        size = self._batch
        waiting: deque[_Task] = deque()
        batch: list[_Task] = []
        for task in self._tasks(todo, pool):
            waiting.append(task)
            while len(waiting) > AHEAD * size:
                batch += self._usable(waiting.popleft())
            while len(batch) >= size:
                yield batch[:size]
                batch = batch[size:]
        while waiting:
            batch += self._usable(waiting.popleft())
        for start in range(0, len(batch), size):
            yield batch[start : start + size]

    def _tasks(self, todo: Sequence[Found], pool: ThreadPoolExecutor) -> Iterator[_Task]:
        for found in todo:
            try:
                opened = _Open(found, found.file.open())
            except UserError as error:
                self._fail(error)
                continue
            for note in found.file.notes:
                self._progress.say(f"note: {found.name}: {note}")
            for i in range(opened.n):
                yield _Task(opened, i, pool.submit(self._prepare, found, i))

    def _prepare(self, found: Found, i: int) -> tuple[NDArray[Any], Prepared]:
        pixels, spacing = found.file.read(i)
        pixels = checked_image(pixels, str(found.file.path), self.model.record.channels)
        return pixels, self.model.prepare(pixels, spacing)

    def _usable(self, task: _Task) -> list[_Task]:
        """The task in a list, or an empty list if its slice cannot be read; then the whole file fails."""
        try:
            task.ready.result()
        except UserError as error:
            self._give_up(task.file, error)
        return [] if task.file.failed else [task]

    def _give_up(self, file: _Open, error: UserError) -> None:
        if file.failed is None:
            file.failed = error
            file.found.file.close()
            self._fail(error)

    def _fail(self, error: UserError) -> None:
        self._failed.append(error)
        self._progress.say(f"failed: {error}")
        self._progress.advance(0)

    def _finish_slice(self, task: _Task, raw: Raw, row: int) -> None:
        pixels, prepared = task.ready.result()
        file = task.file
        prediction = self.model.finish(raw, row, prepared, self.options.variant)
        measured = SliceRow.of(file.found.name, task.i, file.n, prepared.placement, prediction)
        rank = (measured.area_px or 0, -task.i)
        with file.lock:
            file.rows[task.i], file.masks[task.i] = measured, prediction.mask
            if file.shown is None or rank > file.shown[0]:
                file.shown = (rank, pixels, prepared, prediction.mask)
            file.left -= 1
            last = file.left == 0
        if last and file.failed is None:
            self._write(file)

    def _write(self, file: _Open) -> None:
        base = file.found.base
        if masks := [mask for mask in file.masks if mask is not None]:
            file.found.file.write_masks(masks, base)
        assert file.shown is not None
        _, pixels, prepared, mask = file.shown
        channels = self.model.record.channels
        write_picture(suffixed(base, OVERLAY), [overlay(pixels, prepared.low, prepared.high, mask, channels)])
        file.found.file.close()

    def _collect(self, finishing: "deque[tuple[_Task, Future[None]]]", *, at_most: int) -> None:
        """Record files whose slices are all finished, in order, until at most `at_most` slices are unfinished."""
        while finishing and (len(finishing) > at_most or finishing[0][1].done()):
            task, future = finishing.popleft()
            try:
                future.result()
            except SliceError as error:  # this file's masks cannot be written in its format
                self._give_up(task.file, error)
            # Those before it have been collected, so the file is complete.
            if task.i == task.file.n - 1 and task.file.failed is None:
                self._take_down(task.file)

    def _take_down(self, file: _Open) -> None:
        rows = [row for row in file.rows if row is not None]
        self.table.add(rows, self._compared(file, rows))
        for line in _warnings(file.found.name, rows):
            self._progress.say(f"warning: {line}")
        self._written += 1
        self._progress.advance(file.n)

    def _compared(self, file: _Open, rows: list[SliceRow]) -> list[TruthRow]:
        if self.truth is None:
            return []
        try:
            masks, label = self.truth.of(file.found, [(row.height, row.width) for row in rows])
        except UserError as error:
            self._fail(error)
            return []
        if masks is None and label is None:
            self._progress.say(
                f"warning: {file.found.name}: --truth {self.truth.folder} has neither a mask nor a label for it"
            )
            return []
        known: Sequence[NDArray[np.bool_] | None] = masks or [None] * len(rows)
        return [TruthRow.of(row, mask, true, label) for row, mask, true in zip(rows, file.masks, known, strict=True)]


def _warnings(name: str, rows: Sequence[SliceRow]) -> Iterator[str]:
    """The warnings of a file, those of a volume counted by kind with the first as example."""
    if len(rows) == 1:
        yield from (f"{name}: {warning}" for warning in rows[0].warnings)
        return
    kinds: dict[str, list[tuple[int, str]]] = {}
    for row in rows:
        for warning in row.warnings:
            kinds.setdefault(warning.partition(" ")[0], []).append((row.slice, warning))
    for found in kinds.values():
        slice_number, first = found[0]
        yield f"{name}: {len(found)} of {len(rows)} slices, such as {slice_number}: {first}"


def load_model(folder: Path, device: str, threads: int) -> Model:
    """Load a package, with the process set up as the pipeline predicts.

    Args:
        folder: the package.
        device: auto, cpu or cuda.
        threads: CPU threads of the networks.

    Raises:
        UserError: as `Model.load`, or the number of threads is out of range.
    """
    deterministic = Experiment.read(folder / SPEC).training.deterministic if (folder / SPEC).is_file() else True
    gpu = choose_device(device).type == "cuda"
    Compute.choose(gpu=gpu, threads=threads, precision="float32", deterministic=deterministic, seed=0)
    return Model.load(folder, device=device)
