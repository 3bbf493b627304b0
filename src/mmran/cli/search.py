"""Verbs of the search for a fixed weight: search, search-report."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mmran.cli.training import sharing_arguments, trial_arguments
from mmran.cli.verb import Verb


def _search_arguments(parser: ArgumentParser) -> None:
    trial_arguments(parser)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder of trials.csv and search.json"
    )
    sharing_arguments(parser)


def _search(arguments: Namespace) -> None:
    from mmran.config.search import SearchSpec
    from mmran.tune.cluster import TrialResources
    from mmran.tune.runner import Halving, search_with_ray
    from mmran.tune.search import STATUSES, deliver_search, plan_search

    search = SearchSpec.read(arguments.spec)
    trials = plan_search(search, arguments.store, arguments.split, arguments.work)
    resources = TrialResources(arguments.threads, arguments.gpus, arguments.trials_per_gpu)
    halving = Halving(search.experiment.training.epochs, search.grace_epochs, search.reduction_factor)
    failures = search_with_ray(trials, resources, halving)
    found = deliver_search(search, trials, failures, resources.trials_per_gpu, arguments.output)
    best = found["best"]
    print(f"{len(trials)} trials: " + ", ".join(f"{found['trials'][status]} {status}" for status in STATUSES))
    print(f"best: alpha {best['alpha']:g}, learning rate {best['learning_rate']:g}, batch of {best['batch_size']}")


def _report_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("search", type=Path, metavar="DIR", help="what `mmran search` wrote with --output")
    parser.add_argument(
        "--trained", type=Path, required=True, metavar="DIR", help="what `mmran train` wrote of the searched experiment"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="REPORT.csv", help="also .md, .tex, .html, .svg, .png and .txt"
    )


def _report(arguments: Namespace) -> None:
    from mmran.report.search import write_report

    for path in write_report(arguments.search, arguments.trained, arguments.output):
        print(path)


VERBS = (
    Verb(
        "search",
        "search for a fixed weight of the two tasks, on the validation set alone",
        "Draw trials of alpha, learning rate and batch size, train them side by side, and stop the worse ones\n"
        "early (ASHA). A search that is interrupted goes on; a longer one trains what is new. No test slice is\n"
        "looked at.\n\n"
        "  mmran search --spec results/demo/specs/search.json --store results/demo/data/slices.h5 \\\n"
        "      --split results/demo/splits/paper.csv --output results/demo/search",
        _search_arguments,
        _search,
    ),
    Verb(
        "search-report",
        "show the best fixed weight found beside dynamic weights, and what each took",
        "Put the best trial of a search beside the experiment that it is to save, as a table and a picture.\n\n"
        "  mmran search-report results/demo/search --trained results/demo/experiments/dynamic/paper \\\n"
        "      --output results/demo/search/search.csv",
        _report_arguments,
        _report,
    ),
)
