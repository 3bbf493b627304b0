"""Verbs about experiments as they are configured: why."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mmran.cli.verb import Verb


def config_argument(parser: ArgumentParser) -> None:
    """Add `--config`, the same files in the same order as Snakemake reads them."""
    parser.add_argument(
        "--config",
        type=Path,
        nargs="+",
        default=[Path("config.yaml")],
        metavar="YAML",
        help="configuration files, each laid over those before (default: config.yaml)",
    )


def _why_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("experiment", help="name of an experiment, as in the configuration")
    config_argument(parser)
    parser.add_argument("--results", type=Path, metavar="DIR", help="folder of results, where the command line set it")


def _why(arguments: Namespace) -> None:
    from mmran.config.configuration import Config
    from mmran.config.load import load
    from mmran.config.reruns import why

    values = load(arguments.config)
    if arguments.results:
        values["results"] = str(arguments.results)
    config = Config.checked(values)
    lines = why(config, arguments.experiment)
    print("\n".join(lines) if lines else f"{arguments.experiment}: nothing would run again")


VERBS = (
    Verb(
        "why",
        "say what of an experiment would run again, and because of which difference",
        "Compare the configuration and the source as they are now with what the results record.\n\n"
        "  mmran why mmran --config config.yaml workflow/overlays/demo.yaml",
        _why_arguments,
        _why,
    ),
)
