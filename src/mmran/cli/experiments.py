"""Verbs about experiments as they are configured: why."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from mmran.cli.verb import Verb

if TYPE_CHECKING:
    from argparse import _ActionsContainer

    from mmran.config.configuration import Config


def config_argument(parser: "_ActionsContainer") -> None:
    """Add `--config`: the files that Snakemake reads, in the same order."""
    parser.add_argument(
        "--config",
        type=Path,
        nargs="+",
        metavar="YAML",
        help="configuration files, each laid over those before (default: config.yaml in this folder, else the paper's)",
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


def run_arguments(parser: ArgumentParser) -> None:
    """Add `--config`, and `--results` and `--source` for what Snakemake's own `--config` sets."""
    config_argument(parser)
    parser.add_argument("--results", type=Path, metavar="DIR", help="results folder, if the command line sets it")
    parser.add_argument("--source", nargs="+", metavar="DIR", help="slices, if the command line sets them")


def configured(arguments: Namespace) -> "Config":
    """The checked configuration of the arguments that `run_arguments` adds.

    Raises:
        UserError: a file or value is wrong.
    """
    from mmran.config.configuration import Config
    from mmran.config.load import load

    values = load(configuration_files(arguments))
    values |= {"results": str(arguments.results)} if arguments.results else {}
    values |= {"source": arguments.source} if arguments.source else {}
    return Config.checked(values)


def _why_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("experiment", metavar="EXPERIMENT", help="name of an experiment, as in the configuration")
    run_arguments(parser)


def _why(arguments: Namespace) -> None:
    from mmran.config.reruns import why

    lines = why(configured(arguments), arguments.experiment)
    print("\n".join(lines) if lines else f"{arguments.experiment}: nothing would rerun")


VERBS = (
    Verb(
        "why",
        "show what would rerun for an experiment, and why",
        "Compare the present configuration, code, and inputs with what the results record.\n\n"
        "  mmran why mmran --config config.yaml workflow/overlays/demo.yaml",
        _why_arguments,
        _why,
    ),
)
