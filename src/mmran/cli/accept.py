"""`mmran accept`: existing results are valid for the present code."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mmran.cli.experiments import config_argument, configuration_files
from mmran.cli.verb import Verb
from mmran.errors import UserError


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("experiment", nargs="?", help="name of an experiment, as in the configuration")
    parser.add_argument("--all", action="store_true", help="accept every result in which only the code differs")
    parser.add_argument("--because", required=True, metavar="TEXT", help="the reason; tables print it as a note")
    config_argument(parser)
    parser.add_argument("--results", type=Path, metavar="DIR", help="folder of results, where the command line set it")
    parser.add_argument("--source", nargs="+", metavar="DIR", help="slices, where the command line set them")


def _accept(arguments: Namespace) -> None:
    from mmran.config.accepted import accept, acceptances_path
    from mmran.config.configuration import Config
    from mmran.config.load import load

    if (arguments.experiment is None) != arguments.all:
        raise UserError("expected the name of an experiment or --all")
    values = load(configuration_files(arguments))
    values |= {"results": str(arguments.results)} if arguments.results else {}
    values |= {"source": arguments.source} if arguments.source else {}
    config = Config.checked(values)
    added = accept(config, arguments.experiment, arguments.because)
    for one in added:
        print(f"{one.job}: accepted with the present source of {', '.join(one.modules)}")
    if added:
        print(f"recorded in {acceptances_path(config.results)}; snakemake makes the tables again, with a note")
    else:
        print("nothing to accept: no result differs in its code alone")


VERBS = (
    Verb(
        "accept",
        "keep existing results although the code changed, with the reason",
        "Record that a change of code cannot change existing results, so that nothing is trained or measured again.\n"
        "What else differs, an option or an input, cannot be accepted and still runs. The reason, the date and both\n"
        "digests stay in RESULTS/accepted.json, and tables print the reason. `mmran why` lists what changed.\n\n"
        '  mmran accept --all --because "1.2.0 renames a function" --config config.yaml workflow/overlays/demo.yaml',
        _arguments,
        _accept,
    ),
)
