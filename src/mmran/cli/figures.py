"""`mmran figure`: one of the paper's figures, from the results of its experiments."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mmran.cli.verb import Verb


def _figure_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--spec", type=Path, required=True, metavar="FIGURE.json", help="the figure's specification")
    parser.add_argument(
        "--results", type=Path, required=True, metavar="FOLDER", help="folder of experiments/ and specs/"
    )
    parser.add_argument("--protocol", required=True, help="the split protocol that the experiments were tested under")
    parser.add_argument("--store", type=Path, metavar="STORE.h5", help="the slice store, for figures that show slices")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FIGURE.svg", help="written as .svg and .png, its caption as .txt"
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
            "Draw a figure as svg and png beside each other, its caption beside them as txt, from cases.csv and "
            "predictions.h5 of its experiments. Kinds: hole-filling (the slices that gain most), outlines (a large "
            "and a small tumor by every network), confusion and roc. Refuses results of different slices, splits "
            "or outdated specifications; where there is nothing to draw, the figure says so.\n\n"
            "  mmran figure --spec results/specs/figures/figure5.json --results results --protocol paper "
            "--store results/data/slices.h5 --output results/figures/figure5.svg"
        ),
        arguments=_figure_arguments,
        run=_figure,
    ),
)
