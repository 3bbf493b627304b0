"""`mmran networks`: what can be trained, and what it costs."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from mmran.cli.verb import Verb
from mmran.errors import UserError


def _arguments(parser: ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--spec", nargs="+", type=Path, metavar="FILE", help="list these experiments' networks (spec.json)"
    )
    what.add_argument("--config", nargs="+", type=Path, metavar="FILE", help="list every experiment of a configuration")
    parser.add_argument("--size", type=int, help="side of the image in pixels; else 512, or the experiment's own")
    parser.add_argument("--width", type=float, help="channel multiplier; else 1.0, or the experiment's own")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write to a file instead of the terminal")


def _run(arguments: Namespace) -> None:
    from mmran.files import canonical_json, write_text

    entries = [_measure(**entry) for entry in _chosen(arguments)]
    text = canonical_json(entries) if arguments.json else _table(entries)
    if arguments.output:
        write_text(arguments.output, text)
    else:
        print(text, end="")


def _chosen(arguments: Namespace) -> list[dict[str, Any]]:
    """What to list: keyword arguments of `_measure`."""
    if arguments.spec or arguments.config:
        entries = _experiments(arguments)
    else:
        from mmran.networks import NETWORKS, presets

        entries = [
            {"name": preset, "network": network, "options": options, "size": 512}
            for network in NETWORKS
            for preset, options in presets(network).items()
        ]
    for entry in entries:
        if arguments.size is not None:
            entry["size"] = arguments.size
        if arguments.width is not None:
            entry["options"] = entry["options"] | {"width": arguments.width}
    return entries


def _experiments(arguments: Namespace) -> list[dict[str, Any]]:
    from mmran.config.experiment import Experiment

    if arguments.spec:
        experiments = [Experiment.read(path) for path in arguments.spec]
    else:
        from mmran.config.configuration import Config

        config = Config.read(arguments.config)
        experiments = [config.resolve(name) for name in config.experiments()]
    return [
        {
            "name": experiment.name,
            "network": experiment.network.name,
            "options": experiment.network.arguments,
            "size": experiment.input.size,
        }
        for experiment in experiments
    ]


def _measure(name: str, network: str, options: dict[str, Any], size: int) -> dict[str, Any]:
    from mmran.networks import network_class
    from mmran.networks.complexity import multiply_accumulates, parameter_count, published_millions

    try:
        return {
            "name": name,
            "network": network,
            "options": options,
            "tasks": list(network_class(network).tasks),
            "stride": network_class(network).stride,
            "size": size,
            "width": options.get("width", 1.0),
            "parameters_full_width": parameter_count(network, **(options | {"width": 1.0})),
            "parameters": parameter_count(network, **options),
            "published_millions": published_millions(network, options),
            "multiply_accumulates": multiply_accumulates(network, size, **options),
        }
    except UserError as error:
        raise UserError(f"{name}: {error}") from error


def _table(entries: list[dict[str, Any]]) -> str:
    from tabulate import tabulate

    headers = ("network", "parameters, full width", "paper, million", "width", "parameters", "size", "GMAC")
    rows = [
        (
            entry["name"],
            f"{entry['parameters_full_width']:,}",
            "" if entry["published_millions"] is None else f"{entry['published_millions']:.2f}",
            f"{entry['width']:g}",
            f"{entry['parameters']:,}",
            entry["size"],
            f"{entry['multiply_accumulates'] / 1e9:.3g}",
        )
        for entry in entries
    ]
    aligned = ("left", *["right"] * (len(headers) - 1))
    return tabulate(rows, headers, tablefmt="simple", colalign=aligned, disable_numparse=True) + "\n"


VERBS: tuple[Verb, ...] = (
    Verb(
        name="networks",
        help="list the networks with their parameters and multiply-accumulates",
        description=(
            "List every network: trainable parameters at full width and at the width asked for, the count "
            "that Table 3 of the paper prints, and the multiply-accumulates (in billions) of one forward "
            "pass of one image. Weights are never allocated, so this is quick on any machine.\n\n"
            "  mmran networks --size 256 --width 0.25\n"
            "  mmran networks --json --config config.yaml --output networks.json"
        ),
        arguments=_arguments,
        run=_run,
    ),
)
