"""Verbs for data: phantom, convert, verify, split."""

import contextlib
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

from mmran.cli.experiments import config_argument, configuration_files
from mmran.cli.verb import Verb
from mmran.data.published import CLASSES, FIELD_OF_VIEW_MM
from mmran.data.tasks import TASKS
from mmran.errors import UserError
from mmran.words import counted

_MOST_NAMED = 12


@contextlib.contextmanager
def _progress(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Show progress, speed and time left on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, speed="")

        def show(n_done: int, n_all: int) -> None:
            speed = f"{bar.tasks[task].speed or 0:.0f} {unit}/s"
            bar.update(task, completed=n_done, total=n_all, speed=speed)

        yield show


def _phantom_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="new folder for the slices")
    parser.add_argument("--patients", type=int, default=30, metavar="N", help="patients (default 30)")
    parser.add_argument("--size", type=int, default=256, metavar="PX", help="pixels a side (default 256)")
    parser.add_argument("--seed", type=int, default=1029, help="random seed (default 1029)")


def _phantom(arguments: Namespace) -> None:
    from mmran.data.phantom.patients import write_phantom

    with _progress("drawing", "patients") as show:
        n_slices = write_phantom(
            arguments.output,
            n_patients=arguments.patients,
            size=arguments.size,
            seed=arguments.seed,
            on_progress=show,
        )
    print(f"{arguments.output}: {n_slices} slices of {arguments.patients} patients, and cvind.mat")


def _convert_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "sources",
        nargs="+",
        type=Path,
        metavar="DIR|ZIP|CSV",
        help="folders, archives, or files of N.mat; or folders with slices.csv, or such tables",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="STORE.h5", help="the slice store")
    parser.add_argument(
        "--field-of-view-mm",
        type=float,
        default=FIELD_OF_VIEW_MM,
        metavar="MM",
        help="side of the imaged square in mm, which sets the pixel spacing (default %(default)s)",
    )
    parser.add_argument(
        "--classes",
        nargs="+",
        default=CLASSES,
        metavar="NAME",
        help=f"classes in the order of their labels, which count from 1 (default: {' '.join(CLASSES)})",
    )
    parser.add_argument(
        "--channels",
        nargs="+",
        default=(),
        metavar="NAME",
        help="channels of the images of a table, in order: its columns image_NAME, or what its images hold",
    )
    parser.add_argument(
        "--tasks",
        nargs="+",
        choices=TASKS,
        default=TASKS,
        help="what a table is for: without masks classification alone, without labels segmentation alone",
    )
    parser.add_argument(
        "--tumor-values",
        type=float,
        nargs="+",
        default=(),
        metavar="VALUE",
        help="values that mean tumor in the masks of a table (default: the only value but 0)",
    )
    parser.add_argument("--keep-going", action="store_true", help="leave out and list bad files instead of stopping")


def _convert(arguments: Namespace) -> None:
    from mmran.data.convert import convert

    with _progress("converting", "slices") as show:
        store = convert(
            arguments.sources,
            arguments.output,
            field_of_view_mm=arguments.field_of_view_mm,
            classes=arguments.classes,
            channels=arguments.channels,
            tasks=arguments.tasks,
            tumor_values=arguments.tumor_values,
            keep_going=arguments.keep_going,
            on_progress=show,
        )
    for reject in store.rejects:
        print(f"left out: {reject.file}: {reject.reason}", file=sys.stderr)
    for other in store.ignored[:_MOST_NAMED]:
        print(f"not read: {other.file}: {other.reason}", file=sys.stderr)
    if len(store.ignored) > _MOST_NAMED:
        print(f"not read: {counted(len(store.ignored) - _MOST_NAMED, 'more file')}", file=sys.stderr)
    megabytes = arguments.output.stat().st_size / 1e6
    others = f", {counted(len(store.ignored), 'other file')} not read" if store.ignored else ""
    print(
        f"{arguments.output}: {len(store)} slices of {store.index['pid'].nunique()} patients, "
        f"{megabytes:.0f} MB, {counted(len(store.rejects), 'file')} left out{others}"
    )


def _verify_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("store", type=Path, metavar="STORE.h5", help="a store written by convert")
    parser.add_argument("--output", type=Path, metavar="AUDIT.json", help="also write the findings as JSON")


def _verify(arguments: Namespace) -> None:
    from mmran.data.audit import audit
    from mmran.data.audit_text import render
    from mmran.data.store import SliceStore
    from mmran.files import write_text

    with SliceStore(arguments.store) as store, _progress("examining", "slices") as show:
        findings = audit(store, show)
    if arguments.output:
        write_text(arguments.output, findings.to_json())
    print(render(findings), end="")
    if not findings.digest.verified:
        raise UserError(f"{arguments.store}: its content changed after conversion; run mmran convert again")


def _split_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("store", type=Path, metavar="STORE.h5", help="a store written by convert")
    protocol = parser.add_mutually_exclusive_group(required=True)
    protocol.add_argument("--protocol", metavar="NAME", help="a protocol of the configuration, such as paper")
    protocol.add_argument("--spec", type=Path, metavar="PROTOCOL.json", help="a protocol as a JSON object")
    config_argument(parser)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="SPLIT.csv", help="the split; its report is SPLIT.json"
    )


def _split(arguments: Namespace) -> None:
    from mmran.config.configuration import Config
    from mmran.data.protocol import Protocol
    from mmran.data.split_report import SplitReport
    from mmran.data.splits import ROLES, make_split
    from mmran.data.store import SliceStore
    from mmran.files import write_text

    if arguments.output.suffix == ".json":
        raise UserError(f"{arguments.output}: expected a name ending in .csv; the report takes .json")
    if arguments.spec:
        protocol = Protocol.read(arguments.spec)
    else:
        protocol = Config.read(configuration_files(arguments)).protocol(arguments.protocol)
    with SliceStore(arguments.store) as store:
        split = make_split(store.index, protocol, store.cvind)
        report = SplitReport.of(split, protocol, store.digest, store.classes)
    write_text(arguments.output.with_suffix(".json"), report.to_json())
    write_text(arguments.output, split.to_csv(index=False))
    sizes = " / ".join(str(getattr(report.folds[0], role).slices) for role in ROLES)
    print(
        f"{arguments.output}: {counted(len(report.folds), 'fold')} of {report.slices} slices, "
        f"the first {sizes}; "
        f"test slices with a slice of the same patient in training {100 * report.siblings.same_pid:.1f} %, "
        f"of the same family {100 * report.siblings.same_family:.1f} %"
    )


VERBS = (
    Verb(
        "phantom",
        "draw synthetic slices",
        "Draws heads with tumors and writes them in the layout of the published data set: one N.mat\n"
        "per slice, and cvind.mat. The first patients are the same for every number of patients.\n\n"
        "  mmran phantom --output phantom --patients 24 --size 64",
        _phantom_arguments,
        _phantom,
    ),
    Verb(
        "convert",
        "read a data set into one slice store",
        "Reads N.mat (MATLAB v7.3) from folders and zip archives, without unpacking them, and writes\n"
        "one store with index.csv beside it. With cvind.mat among the sources, it keeps the\n"
        "published folds. Also reads folders with slices.csv, which names images (png, jpg, tiff,\n"
        "NIfTI), masks, classes, and patients. It names every file that it does not read.\n\n"
        "  mmran convert downloads/ --output results/data/slices.h5",
        _convert_arguments,
        _convert,
    ),
    Verb(
        "verify",
        "check a slice store and report what it holds",
        "Recomputes every checksum, compares masks with border polygons and with images, and counts\n"
        "slices and patients, of .mat files against the published set. Fails only if the content changed after\n"
        "conversion.\n\n"
        "  mmran verify results/data/slices.h5 --output results/data/audit.json",
        _verify_arguments,
        _verify,
    ),
    Verb(
        "split",
        "divide the slices into training, validation and test",
        "Writes which slices train, validate and test in each fold, and a report of what the test\n"
        "slices have in common with training. The configuration's protocols are paper (8:1:1 by\n"
        "slice), patient (5 folds that keep a patient's examinations together) and cvind (the\n"
        "published folds).\n\n"
        "  mmran split results/data/slices.h5 --protocol patient --output results/splits/patient.csv",
        _split_arguments,
        _split,
    ),
)
