"""The command line: `mmran VERB`, one verb per stage of the pipeline."""

import argparse
import contextlib
import difflib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmran.cli import (
    accept,
    compare,
    data,
    experiments,
    fetch,
    figures,
    inference,
    networks,
    plan,
    results,
    running,
    search,
    training,
    verify_results,
)
from mmran.cli.stopping import ends_on_sigterm
from mmran.cli.verb import Verb
from mmran.errors import UserError, known_names
from mmran.version import __version__

VERBS: tuple[Verb, ...] = (
    *plan.VERBS,
    *experiments.VERBS,
    *accept.VERBS,
    *networks.VERBS,
    *fetch.VERBS,
    *data.VERBS,
    *running.VERBS,
    *training.VERBS,
    *search.VERBS,
    *results.VERBS,
    *figures.VERBS,
    *compare.VERBS,
    *verify_results.VERBS,
    *inference.VERBS,
)

STAGES = {
    "before a run": ("plan", "why", "accept", "networks"),
    "data": ("fetch", "phantom", "convert", "verify", "split"),
    "training": ("run", "train", "search"),
    "evaluation": ("predict", "evaluate", "nearest-slice"),
    "results": ("compare", "trace", "table", "figure", "search-report", "show", "overview", "verify-results"),
    "your own images": ("package", "segment", "export"),
}
"""The verbs in the order of the stages; a verb that is missing here is listed last."""

_DESCRIPTION = """\
Segmentation and classification of brain tumors in MRI slices, stage by stage.
Snakemake runs these verbs in order; you can run each one yourself, and each writes files that you can open:

  phantom -> convert -> verify -> split -> train -> predict -> evaluate -> table, figure

The whole pipeline on synthetic slices, in minutes:

  mmran run -- snakemake --cores all --configfile workflow/overlays/demo.yaml
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser with all verbs."""
    return _parsers()[0]


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser, and that of each verb."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("mmran", description=f"{_DESCRIPTION}\n{_listing()}", formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"mmran {__version__}")
    # Used by the workflow: the specifications of the jobs that this verb runs, and whose records it writes.
    parser.add_argument("--job", type=Path, action="append", dest="workflow_jobs", default=[], help=argparse.SUPPRESS)
    verbs = parser.add_subparsers(
        dest="verb", required=True, metavar="VERB", help="one of the verbs above; `mmran VERB --help` explains it"
    )
    subparsers = {}
    for verb in VERBS:
        # Without `help`: the description lists the verbs by stage.
        sub = verbs.add_parser(verb.name, description=verb.description, formatter_class=raw)
        verb.arguments(sub)
        sub.set_defaults(run=verb.run)
        subparsers[verb.name] = sub
    return parser, subparsers


def _listing() -> str:
    """The verbs by stage, one line each."""
    verbs = {verb.name: verb for verb in VERBS}
    listed = {name for names in STAGES.values() for name in names}
    stages = {**STAGES, "more": tuple(name for name in verbs if name not in listed)}
    lines = []
    for stage, names in stages.items():
        found = [name for name in names if name in verbs]
        lines += [f"{stage}:", *(f"  {name:<14} {verbs[name].help}" for name in found), ""] if found else []
    return "\n".join(lines).rstrip()


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; an unknown verb or option ends the program and suggests the nearest known one."""
    parser, subparsers = _parsers()
    if arguments and not arguments[0].startswith("-") and arguments[0] not in subparsers:
        parser.error(f"no verb {arguments[0]!r}; {known_names(arguments[0], subparsers)}")
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        sub = subparsers[parsed.verb]
        near = difflib.get_close_matches(unknown[0], re.findall(r"--[\w-]+", sub.format_help()), 1)
        sub.error(f"unrecognized arguments: {' '.join(unknown)}" + (f"; did you mean {near[0]}?" if near else ""))
    return parsed


@contextlib.contextmanager
def _recorded(jobs: Sequence[Path]) -> Iterator[None]:
    """Record what the results of jobs were made from, within the workflow."""
    if not jobs:
        yield
        return
    from mmran.config.made import recorded

    with contextlib.ExitStack() as stack:
        # The record of the first job is written first: the others follow from it.
        for job in reversed(jobs):
            stack.enter_context(recorded(job))
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Returns:
        0; 1 for a mistake of the user, reported in one line; 130 when interrupted.
    """
    parsed = _parse(sys.argv[1:] if arguments is None else arguments)
    try:
        with ends_on_sigterm(parsed.verb), _recorded(parsed.workflow_jobs):
            parsed.run(parsed)
    except UserError as error:
        print(f"mmran {parsed.verb}: {error}", file=sys.stderr)
        return 1
    except MemoryError:
        print(f"mmran {parsed.verb}: out of memory; close other programs, or use a larger machine", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"mmran {parsed.verb}: interrupted; finished work is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader, such as `head`, has exited; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
