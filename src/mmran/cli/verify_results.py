"""`mmran verify-results`: every file of the results against its recorded digest."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mmran.cli.verb import Verb
from mmran.errors import UserError


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("results", type=Path, metavar="RESULTS", help="results folder")


def _verify(arguments: Namespace) -> None:
    from mmran.config.made import all_made

    n_jobs, n_files, damage = 0, 0, list[str]()
    for made in all_made(arguments.results):
        changed = made.changed_files(arguments.results, read=True)
        removed = [path for path in made.files if path not in changed and not (arguments.results / path).exists()]
        damage += [f"{path} {what}" for path, what in changed.items()] + [f"{path} is missing" for path in removed]
        n_jobs, n_files = n_jobs + 1, n_files + len(made.files)
    if not n_jobs:
        raise UserError(f"{arguments.results}: no records of finished jobs; expected a results folder of mmran")
    print("\n".join([*damage, f"{n_files} files of {n_jobs} jobs read, {len(damage)} changed since they were made"]))
    if damage:
        raise UserError(
            f"{arguments.results}: {damage[0]}; remove the file and run snakemake to recreate it, or restore a copy"
        )


VERBS = (
    Verb(
        "verify-results",
        "read every file of the results and compare it with its recorded digest",
        "Find what snakemake and `mmran why` cannot see without reading gigabytes: a large file that a disk or a copy\n"
        "damaged without changing its size and times. Exits with status 1 if there is one.\n\n"
        "reads:   RESULTS/records and all files that they name\n"
        "writes:  nothing\n"
        "example: mmran verify-results results",
        _arguments,
        _verify,
    ),
)
