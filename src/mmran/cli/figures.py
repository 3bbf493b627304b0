"""`mmran figure`: one of the paper's figures, from the results of its experiments."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from mmran.cli.verb import Verb
from mmran.errors import UserError


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
    from mmran.files import read_json
    from mmran.report.figures import make_figure

    spec = _checked_spec(arguments.spec, read_json(arguments.spec))
    for path in make_figure(spec, arguments.results, arguments.protocol, arguments.store, arguments.output):
        print(path)


def _checked_spec(path: Path, spec: Any) -> dict[str, Any]:
    from mmran.evaluation.evaluate import VARIANTS
    from mmran.report.figures import KINDS

    if not isinstance(spec, dict) or spec.get("kind") not in KINDS:
        raise UserError(f"{path}: not the specification of a figure, expected a kind among {', '.join(KINDS)}")
    if not spec.get("rows") or not all({"label", "experiment"} <= set(row) for row in spec["rows"]):
        raise UserError(f"{path}: rows must be a list of at least one, each with label and experiment")
    for row in spec["rows"]:
        if row.get("variant", VARIANTS[0]) not in VARIANTS:
            known = ", ".join(VARIANTS)
            raise UserError(f"{path}: row {row['label']!r} wants variant {row['variant']}, expected one of {known}")
    return {"name": path.stem, "title": path.stem, **spec}


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
