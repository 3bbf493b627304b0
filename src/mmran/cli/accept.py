"""`mmran accept`: declare existing results valid for the present code."""

from argparse import ArgumentParser, Namespace

from mmran.cli.experiments import configured, run_arguments
from mmran.cli.verb import Verb
from mmran.errors import UserError


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("experiment", nargs="?", help="name of an experiment, as in the configuration")
    parser.add_argument("--all", action="store_true", help="accept every result in which only the code differs")
    parser.add_argument("--because", required=True, metavar="TEXT", help="the reason; tables print it as a note")
    run_arguments(parser)


def _accept(arguments: Namespace) -> None:
    from mmran.config.accepted import accept, acceptances_path

    if (arguments.experiment is None) != arguments.all:
        raise UserError("expected the name of an experiment or --all")
    config = configured(arguments)
    added = accept(config, arguments.experiment, arguments.because)
    for one in added:
        print(f"{one.job}: accepted with the present source of {', '.join(one.modules)}")
    if added:
        print(f"recorded in {acceptances_path(config.results)}; snakemake remakes the tables, with a note")
    else:
        print("nothing to accept: no result differs only in its code")


VERBS = (
    Verb(
        "accept",
        "keep existing results although the code changed, with the reason",
        "Record that a change to the code does not affect existing results, so that nothing is trained or measured\n"
        "again. Other differences, such as an option or an input, cannot be accepted and still rerun. The reason, the\n"
        "date, and both digests stay in RESULTS/accepted.json, and tables print the reason. `mmran why` lists what\n"
        "changed.\n\n"
        '  mmran accept --all --because "1.2.0 renames a function" --config config.yaml workflow/overlays/demo.yaml',
        _arguments,
        _accept,
    ),
)
