"""Verbs that hand trained models to other people: package."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mmran.cli.verb import Verb


def _package_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("results", type=Path, metavar="RESULTS", help="folder of results of the workflow")
    parser.add_argument("experiment", metavar="EXPERIMENT", help="name of a trained experiment, such as mmran")
    parser.add_argument("--protocol", metavar="P", help="split protocol, if there are results under several")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the package")
    parser.add_argument("--data-license", metavar="TEXT", help='license of the training data, such as "CC BY 4.0"')
    parser.add_argument("--overwrite", action="store_true", help="replace a package that is there")


def _package(arguments: Namespace) -> None:
    from mmran.inference.package import DATA_LICENSE, package

    record = package(
        arguments.results,
        arguments.experiment,
        arguments.protocol,
        arguments.output,
        data_license=arguments.data_license or DATA_LICENSE,
        overwrite=arguments.overwrite,
    )
    n = len(record.weights)
    print(f"{arguments.output}: {record.experiment} under {record.protocol}, {n} network{'s' * (n != 1)}")


VERBS = (
    Verb(
        "package",
        "bundle a trained experiment as a model that you can hand on",
        "Copy the weights of all seeds and folds with specification, preprocessing, test results with intervals,\n"
        "digests, versions, licenses and a model card. The package needs nothing of the results folder.\n\n"
        "reads:   RESULTS/experiments/EXPERIMENT/PROTOCOL, RESULTS/data, RESULTS/splits\n"
        "writes:  DIR/weights/*.safetensors, spec.json, package.json, results.csv, README.md\n"
        "example: mmran package results/demo mmran --output models/mmran",
        _package_arguments,
        _package,
    ),
)
