"""Verbs about experiments as they are configured: why."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from mmran.cli.verb import Verb

if TYPE_CHECKING:
    from argparse import _ActionsContainer


def config_argument(parser: "_ActionsContainer") -> None:
    """Add `--config`: the files that Snakemake reads, in the same order."""
    parser.add_argument(
        "--config",
        type=Path,
        nargs="+",
        metavar="YAML",
        help="configuration files, each laid over those before (default: config.yaml here, else the paper's)",
    )


def configuration_files(arguments: Namespace) -> list[Path]:
    """The files of `--config`, or config.yaml of this folder, or the paper's configuration from the package."""
    from mmran.config.load import PAPER

    if arguments.config:
        return list(arguments.config)
    here = Path("config.yaml")
    if here.is_file():
        return [here]
    print(f"mmran {arguments.verb}: no config.yaml here; using the paper's configuration, {PAPER}", file=sys.stderr)
    return [PAPER]


def _why_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("experiment", metavar="EXPERIMENT", help="name of an experiment, as in the configuration")
    config_argument(parser)
    parser.add_argument("--results", type=Path, metavar="DIR", help="folder of results, where the command line set it")


def _why(arguments: Namespace) -> None:
    from mmran.config.configuration import Config
    from mmran.config.load import load
    from mmran.config.reruns import why

    values = load(configuration_files(arguments))
    if arguments.results:
        values["results"] = str(arguments.results)
    config = Config.checked(values)
    lines = why(config, arguments.experiment)
    print("\n".join(lines) if lines else f"{arguments.experiment}: nothing would run again")


VERBS = (
    Verb(
        "why",
        "say what of an experiment would run again, and because of which difference",
        "Compare the present configuration and source with what the results record.\n\n"
        "  mmran why mmran --config config.yaml workflow/overlays/demo.yaml",
        _why_arguments,
        _why,
    ),
)
