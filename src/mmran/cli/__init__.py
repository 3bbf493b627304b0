"""The command line: `mmran VERB`, one verb per stage of the pipeline."""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mmran import __version__
from mmran.cli import accept, compare, data, experiments, figures, networks, plan, results, running, search, training
from mmran.cli.stopping import ends_on_sigterm
from mmran.cli.verb import Verb
from mmran.errors import UserError

VERBS: tuple[Verb, ...] = (
    *data.VERBS,
    *networks.VERBS,
    *experiments.VERBS,
    *accept.VERBS,
    *plan.VERBS,
    *training.VERBS,
    *search.VERBS,
    *running.VERBS,
    *results.VERBS,
    *figures.VERBS,
    *compare.VERBS,
)

_DESCRIPTION = """\
Segmentation and classification of brain tumours in MRI slices, stage by stage.
Snakemake calls these verbs in order; each can be typed by hand, and each writes files that can be opened:

  phantom -> convert -> verify -> split -> train -> predict -> evaluate -> table, figure
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser with all verbs."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("mmran", description=_DESCRIPTION, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"mmran {__version__}")
    # The workflow's own: the specification of the job that this verb does, and whose record it writes.
    parser.add_argument("--job", type=Path, help=argparse.SUPPRESS)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        sub = verbs.add_parser(verb.name, help=verb.help, description=verb.description, formatter_class=raw)
        verb.arguments(sub)
        sub.set_defaults(run=verb.run)
    return parser


def _recorded(job: Path | None) -> contextlib.AbstractContextManager[None]:
    """Record what a job's results were made from, within the workflow."""
    if job is None:
        return contextlib.nullcontext()
    from mmran.config.made import recorded

    return recorded(job)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Returns:
        0; 1 for what the user can mend, said in one line; 130 when interrupted.
    """
    parsed = build_parser().parse_args(arguments)
    try:
        with ends_on_sigterm(parsed.verb), _recorded(parsed.job):
            parsed.run(parsed)
    except UserError as error:
        print(f"mmran {parsed.verb}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"mmran {parsed.verb}: interrupted; finished work is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader, `head` say, has gone; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
