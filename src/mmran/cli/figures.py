"""`mmran figure`: one of the paper's figures, from the results of its experiments."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mmran.cli.verb import Verb


def _figure_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--spec", type=Path, required=True, metavar="FIGURE.json", help="the figure's specification")
    parser.add_argument(
        "--results", type=Path, required=True, metavar="FOLDER", help="folder of experiments/ and specs/"
    )
    parser.add_argument("--protocol", required=True, help="protocol under which the experiments were tested")
    parser.add_argument("--store", type=Path, metavar="STORE.h5", help="the slice store, for figures that show slices")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FIGURE.svg",
        help="written as .svg, .png and .pdf, with its caption as .txt",
    )


def _figure(arguments: Namespace) -> None:
    from mmran.config.figures import FigureSpec
    from mmran.report.figures import make_figure

    spec = FigureSpec.read(arguments.spec)
    for path in make_figure(spec, arguments.results, arguments.protocol, arguments.store, arguments.output):
        print(path)


VERBS: tuple[Verb, ...] = (
    Verb(
        name="figure",
        help="draw one of the paper's figures",
        description=(
            "Draw a figure as svg, png and pdf, with its caption as txt, from the results of its experiments. Kinds: "
            "hole-filling (the slices that gain most), outlines (a large and a small tumor by every network), cases "
            "(worst, median and best slices of each class), confusion, roc, curves (learning curves), forest "
            "(differences to one row) and reliability. Refuses results of different slices or splits, or of "
            "outdated specifications. A figure with nothing to draw says so.\n\n"
            "  mmran figure --spec results/demo/specs/figures/figure5.json --results results/demo --protocol paper \\\n"
            "      --store results/demo/data/slices.h5 --output results/demo/figures/paper/figure5.svg"
        ),
        arguments=_figure_arguments,
        run=_figure,
    ),
)
