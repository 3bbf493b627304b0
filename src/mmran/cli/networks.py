"""`mmran networks`: what can be trained, and what it costs."""

import dataclasses
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmran.cli.experiments import config_argument, configuration_files
from mmran.cli.verb import Verb
from mmran.errors import UserError

if TYPE_CHECKING:
    from mmran.config.configuration import Config
    from mmran.config.experiment import Experiment


def _arguments(parser: ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--spec", nargs="+", type=Path, metavar="SPEC.json", help="list these experiments instead")
    config_argument(what)
    parser.add_argument("--size", type=int, metavar="PX", help="image side in pixels (default: the experiment's)")
    parser.add_argument("--width", type=float, metavar="X", help="factor on channels (default: the experiment's)")
    parser.add_argument("--json", action="store_true", help="print JSON, one entry per experiment")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write to a file instead of the terminal")


def _run(arguments: Namespace) -> None:
    from mmran.files import canonical_json, write_text

    experiments, published = _chosen(arguments)
    networks: dict[str, dict[str, Any]] = {}
    for experiment in experiments:
        # Experiments that differ only in training share one network, and one count.
        key = canonical_json([experiment.network.to_values(), experiment.input.size])
        if key not in networks:
            networks[key] = _measure(experiment) | {"experiments": []}
        networks[key]["experiments"].append(experiment.name)
    if arguments.json:
        text = canonical_json([found | {"name": name} for found in networks.values() for name in found["experiments"]])
    else:
        text = _table(list(networks.values()), published)
    if arguments.output:
        write_text(arguments.output, text)
    else:
        print(text, end="")


def _chosen(arguments: Namespace) -> "tuple[list[Experiment], dict[str, float]]":
    """The experiments to list, and the millions of parameters that the paper prints for some."""
    from mmran.config.configuration import Config
    from mmran.config.experiment import Experiment
    from mmran.config.load import load

    published: dict[str, float] = {}
    if arguments.spec:
        experiments = [Experiment.read(path) for path in arguments.spec]
    else:
        config = Config.checked(load(configuration_files(arguments)))
        experiments = [config.resolve(name) for name in config.all_experiments()]
        published = _published_millions(config)
    size, width = arguments.size, arguments.width
    return [_changed(experiment, size, width) for experiment in experiments], published


def _changed(experiment: "Experiment", size: int | None, width: float | None) -> "Experiment":
    return dataclasses.replace(
        experiment,
        input=dataclasses.replace(experiment.input, size=experiment.input.size if size is None else size),
        network=dataclasses.replace(experiment.network, width=experiment.network.width if width is None else width),
    )


def _published_millions(config: "Config") -> dict[str, float]:
    """Experiment -> millions of parameters that the paper prints, from the tables of kind parameters."""
    tables = [table for table in map(config.table, config.tables) if table.kind == "parameters"]
    return {row.experiment: row.paper["params_m"] for table in tables for row in table.rows if "params_m" in row.paper}


def _measure(experiment: "Experiment") -> dict[str, Any]:
    from mmran.networks import network_class
    from mmran.networks.complexity import complexity, parameter_count

    name, arguments = experiment.network.name, experiment.network.arguments
    try:
        found = network_class(name)
        counted = complexity(name, experiment.input.size, **arguments)
        return {
            "network": name,
            "options": arguments,
            "tasks": list(found.tasks),
            "stride": found.stride,
            "size": experiment.input.size,
            "width": experiment.network.width,
            "parameters_full_width": parameter_count(name, **(arguments | {"width": 1.0})),
            **counted._asdict(),
        }
    except UserError as error:
        raise UserError(f"{experiment.name}: {error}") from error


def _table(networks: list[dict[str, Any]], published: Mapping[str, float]) -> str:
    from tabulate import tabulate

    headers = ("experiment", "parameters, full width", "paper, million", "width", "parameters", "size", "GMAC")
    rows = []
    for found in networks:
        first, *others = found["experiments"]
        counts = [published[name] for name in found["experiments"] if name in published]
        rows.append(
            (
                f"{first} and {len(others)} more" if others else first,
                f"{found['parameters_full_width']:,}",
                f"{counts[0]:.2f}" if counts else "",
                f"{found['width']:g}",
                f"{found['parameters']:,}",
                found["size"],
                f"{found['multiply_accumulates'] / 1e9:.3g}",
            )
        )
    aligned = ("left", *["right"] * (len(headers) - 1))
    return tabulate(rows, headers, tablefmt="simple", colalign=aligned, disable_numparse=True) + "\n"


VERBS: tuple[Verb, ...] = (
    Verb(
        name="networks",
        help="list the networks with their parameters and multiply-accumulates",
        description=(
            "List the network of every experiment: trainable parameters at full width and at its own, the count that "
            "the paper prints, and multiply-accumulates (in billions) of one forward pass of one image. Experiments "
            "that share a network share a line. Allocates no weights, so it is quick on any machine.\n\n"
            "  mmran networks --size 256 --width 0.25\n"
            "  mmran networks --config config.yaml mine.yaml --json --output networks.json"
        ),
        arguments=_arguments,
        run=_run,
    ),
)
