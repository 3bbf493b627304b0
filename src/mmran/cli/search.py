"""Verbs of the search for a fixed weight: search, search-report."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mmran.cli.training import many_trials_arguments, trial_arguments
from mmran.cli.verb import Verb


def _search_arguments(parser: ArgumentParser) -> None:
    trial_arguments(parser)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for trials.csv and search.json"
    )
    many_trials_arguments(parser)


def _search(arguments: Namespace) -> None:
    from mmran.config.search import SearchSpec
    from mmran.tune.cluster import TrialResources
    from mmran.tune.output import Output
    from mmran.tune.runner import EarlyStopping, train_search
    from mmran.tune.search import STATUSES, plan_search, publish_search

    with Output(arguments.log, arguments.verbose) as output:
        search = SearchSpec.read(arguments.spec)
        trials = plan_search(search, arguments.store, arguments.split, arguments.work)
        resources = TrialResources(arguments.threads, arguments.gpus, arguments.trials_per_gpu)
        stopping = EarlyStopping(search.experiment.training.epochs, search.grace_epochs, search.reduction_factor)
        failures = train_search(trials, resources, stopping, output)
        found = publish_search(search, trials, failures, resources.trials_per_gpu, arguments.output)
        counts = ", ".join(f"{found.trials[status]} {status}" for status in STATUSES)
        best = found.best
        output.result(f"{len(trials)} trials: {counts}")
        output.result(f"best: alpha {best.alpha:g}, learning rate {best.learning_rate:g}, batch size {best.batch_size}")


def _report_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("search", type=Path, metavar="DIR", help="the --output of `mmran search`")
    parser.add_argument(
        "--trained",
        type=Path,
        required=True,
        metavar="DIR",
        help="the --output of `mmran train` for the searched experiment",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="CSV",
        help="table to write; .md, .tex, .html, .svg, .png and .txt go beside it",
    )


def _report(arguments: Namespace) -> None:
    from mmran.report.search import write_report

    for path in write_report(arguments.search, arguments.trained, arguments.output):
        print(path)


VERBS = (
    Verb(
        "search",
        "search for a fixed weight of the two tasks on the validation set",
        "Draw trials of alpha, learning rate and batch size, train them with Ray, and stop the worse ones early\n"
        "(ASHA). An interrupted search continues; a longer one trains only what is new. Test slices are not read.\n\n"
        "reads:   --spec (`snakemake` writes it), --store (`mmran convert`), --split (`mmran split`)\n"
        "writes:  DIR/trials.csv, DIR/search.json\n"
        "example: mmran search --spec results/demo/specs/search.json --store results/demo/data/slices.h5 \\\n"
        "             --split results/demo/splits/paper.csv --output results/demo/search",
        _search_arguments,
        _search,
    ),
    Verb(
        "search-report",
        "compare the best fixed weight found with dynamic weights, and their cost",
        "Compare the best trial of a search with the experiment that makes the search unnecessary: a table and a\n"
        "figure.\n\n"
        "reads:   the --output of `mmran search` and of `mmran train`\n"
        "writes:  search.csv, and .md, .tex, .html, .svg, .png, .txt beside it\n"
        "example: mmran search-report results/demo/search --trained results/demo/experiments/dynamic/paper \\\n"
        "             --output results/demo/search/search.csv",
        _report_arguments,
        _report,
    ),
)
