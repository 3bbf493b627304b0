"""Verbs that share, apply, and export trained models: package, segment, export."""

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from mmran.cli.numbers import at_least_one
from mmran.cli.verb import Verb
from mmran.errors import UserError
from mmran.words import counted


def _package_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("results", type=Path, metavar="RESULTS", help="folder of results of the workflow")
    parser.add_argument("experiment", metavar="EXPERIMENT", help="name of a trained experiment, such as mmran")
    parser.add_argument("--protocol", metavar="P", help="split protocol, if there are results under several")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the package")
    parser.add_argument(
        "--seeds", type=int, nargs="+", metavar="N", help="only the networks of these seeds (default: all)"
    )
    parser.add_argument("--data-license", metavar="TEXT", help='license of the training data, such as "CC BY 4.0"')
    parser.add_argument("--overwrite", action="store_true", help="replace an existing package")


def _package(arguments: Namespace) -> None:
    from mmran.inference.package import DATA_LICENSE, package

    record = package(
        arguments.results,
        arguments.experiment,
        arguments.protocol,
        arguments.output,
        seeds=arguments.seeds,
        data_license=arguments.data_license or DATA_LICENSE,
        overwrite=arguments.overwrite,
    )
    n = len(record.weights)
    print(f"{arguments.output}: {record.experiment} under {record.protocol}, {n} network{'s' * (n != 1)}")


def _segment_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="a package of `mmran package`")
    parser.add_argument("inputs", type=Path, nargs="+", metavar="INPUT", help="image files and folders of them")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for masks and tables")
    parser.add_argument("--flips", action="store_true", help="average over each image and its three mirror images")
    parser.add_argument(
        "--variant",
        default="raw",
        choices=("raw", "pkp", "pkp-guarded"),
        help="masks as predicted, with all holes filled, or with small holes filled (default: %(default)s)",
    )
    parser.add_argument(
        "--axis",
        default="z",
        choices=tuple(_AXES),
        help="stored axis of a volume along which slices are taken (default: %(default)s)",
    )
    parser.add_argument(
        "--spacing-mm", type=_millimeters, metavar="MM", help="side of a pixel, for files that do not state it"
    )
    parser.add_argument(
        "--truth", type=Path, metavar="DIR", help="true masks named after the images, and labels.csv with file,label"
    )
    parser.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute (default: %(default)s)"
    )
    parser.add_argument("--threads", type=at_least_one, metavar="N", help="CPU threads of the networks (default: all)")
    parser.add_argument(
        "--jobs", type=at_least_one, metavar="N", help="threads that read and write files (default: as --threads)"
    )
    parser.add_argument(
        "--batch",
        type=at_least_one,
        metavar="N",
        help="slices that are predicted together; fewer need less memory (default: as in training)",
    )
    parser.add_argument("--overwrite", action="store_true", help="segment images again that already have outputs")


_AXES = {"x": 0, "y": 1, "z": 2}


def _millimeters(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 100:
        raise ArgumentTypeError(f"{text}: expected millimeters, more than 0")
    return value


def _segment(arguments: Namespace) -> None:
    from mmran.data.images.base import ReadOptions
    from mmran.data.images.find import find_images
    from mmran.files import ensure_dir, locked
    from mmran.inference.options import Options, settings
    from mmran.inference.progress import Progress
    from mmran.inference.segment import Segmentation, load_model
    from mmran.inference.table import Table
    from mmran.inference.truth import Truth
    from mmran.machine import available_cpus

    threads = arguments.threads or available_cpus()
    options = Options(arguments.variant, arguments.flips, arguments.jobs or threads, arguments.batch)
    model = load_model(arguments.model, arguments.device, threads)
    trained = model.record.training_images
    channels = model.record.channels
    read = ReadOptions(_AXES[arguments.axis], arguments.spacing_mm, trained.field_of_view_mm, channels)
    search = find_images(arguments.inputs, arguments.output, read)
    truth = Truth(arguments.truth, model.record.classes, read.of_one_channel()) if arguments.truth else None
    masks = "segmentation" in model.record.tasks
    ensure_dir(arguments.output)
    with (
        locked(
            arguments.output / ".lock", f"{arguments.output}: another process is segmenting into it; waiting for it"
        ),
        Table(
            arguments.output,
            settings(arguments.model, options, read, arguments.truth),
            search.images,
            masks=masks,
            overwrite=arguments.overwrite,
        ) as table,
        Progress() as progress,
    ):
        for line in (*model.notes, *search.notes()):
            progress.say(f"note: {line}")
        outcome = Segmentation(model, options, table, truth, progress).run(search.images)
        speed = f", {progress.images_per_s:.1f} images/s" if progress.slices else ""
    kept = f", {outcome.kept} already done" if outcome.kept else ""
    files, slices = counted(outcome.written, "file"), counted(progress.slices, "slice")
    print(f"{arguments.output}: {files}, {slices}{speed}{kept}")
    if truth is not None:
        print(table.truth_line())
    sys.stdout.flush()
    if outcome.failed:
        n = len(outcome.failed)
        raise UserError(
            f"{n} of {counted(len(search.images), 'file')} failed, one line each above; the others are done"
        )


def _export_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="a package of `mmran package`")
    parser.add_argument("--format", required=True, choices=("onnx", "torch"), help="ONNX, or torch.export")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder of the files (default: MODEL/FORMAT)")
    parser.add_argument(
        "--images", type=Path, nargs="+", metavar="IMAGE", default=[], help="compare on these images instead of noise"
    )


def _export(arguments: Namespace) -> None:
    from mmran.data.images.base import ReadOptions
    from mmran.data.images.find import find_images
    from mmran.inference.export import export
    from mmran.inference.record import Package

    output = arguments.output or arguments.model / arguments.format
    images = []
    read = ReadOptions(channels=Package.read(arguments.model).channels)
    for found in find_images(arguments.images, output, read).images if arguments.images else []:
        images += [found.file.read(i).pixels for i in range(found.file.open())]
    for one in export(arguments.model, arguments.format, output, images):
        size = "any height and width" if one.any_size else "the height and width of training"
        print(
            f"{output / one.file}: any batch, {size}; differs from torch by at most {one.difference:.1e} in probability"
        )


VERBS = (
    Verb(
        "package",
        "bundle a trained experiment as a model that you can share",
        "Copy the weights of all seeds and folds with specification, preprocessing, test results with intervals,\n"
        "digests, versions, licenses and a model card. The package does not need the results folder. `--seeds` makes\n"
        "a smaller and faster one.\n\n"
        "reads:   RESULTS/experiments/EXPERIMENT/PROTOCOL, RESULTS/data, RESULTS/splits\n"
        "writes:  DIR/weights/*.safetensors, spec.json, package.json, results.csv, README.md\n"
        "example: mmran package results/demo mmran --output models/mmran",
        _package_arguments,
        _package,
    ),
    Verb(
        "segment",
        "find and classify tumors in your own images",
        "Apply a model to png, jpg, tiff, cjdata .mat, NIfTI and DICOM files, and to folders of them, mixed. A mask\n"
        "has the format, size and geometry of its image. An interrupted run continues; a bad file stops no others.\n"
        "Research software, not a medical device: nothing that it prints is a diagnosis.\n\n"
        "reads:   MODEL (`mmran package` writes it), INPUT\n"
        "writes:  DIR/NAME_mask.*, DIR/NAME_overlay.png, DIR/predictions.csv; with --truth also DIR/truth.csv\n"
        "example: mmran segment models/mmran scans/ --output masks",
        _segment_arguments,
        _segment,
    ),
    Verb(
        "export",
        "export a model for programs without mmran: ONNX or torch.export",
        "Write one file for each network of a package, compare its probabilities with torch, and describe inputs,\n"
        "outputs, and preprocessing. Average the outputs of all files.\n\n"
        "reads:   MODEL (`mmran package` writes it)\n"
        "writes:  DIR/*.onnx or DIR/*.pt2, DIR/export.json\n"
        "example: mmran export models/mmran --format onnx",
        _export_arguments,
        _export,
    ),
)
