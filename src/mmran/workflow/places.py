"""Where sources and results may lie: what Snakemake would fail on is refused, and results move as a whole folder."""

from pathlib import Path
from typing import Any

from mmran.config.configuration import Config
from mmran.errors import UserError
from mmran.workflow.internals import require


def check_places(config: Config) -> None:
    """Refuse paths on which Snakemake fails with a traceback.

    Raises:
        UserError: the results are inside a file, or Snakemake would read a source's name as a pattern.
    """
    for place in (config.results, *config.results.parents):
        if place.exists() and not place.is_dir():
            raise UserError(
                f"config: results: {place} is a file, expected a folder; choose another one or move the file"
            )
    for source in config.source or ():
        if "{" in source or "}" in source:
            raise UserError(
                f"config: source: {source}: Snakemake reads braces as a pattern; rename the folder, or link to it"
            )


def refuse_storage(workflow: Any) -> None:
    """Refuse results on storage that jobs do not share: records and specifications are stored beside them."""
    if getattr(workflow.storage_settings, "default_storage_provider", None):
        raise UserError(
            "--default-storage-provider: mmran keeps its results on a file system that all jobs share; remove this "
            "option, and copy the results after the run"
        )


def with_moved_results(workflow: Any, values: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a module with `prefix` or `replace_prefix`: the whole folder of results moves."""
    modifier, results = workflow.modifier.path_modifier, values.get("results")
    if not isinstance(results, str):
        return values
    require(modifier, "replace_prefix", "prefix", "_prefix_replacements", "inner_modifier")
    return values | {"results": str(Path(modifier.replace_prefix(f"{results}/results")).parent)}


def leave_paths_alone(workflow: Any) -> None:
    """Prevent Snakemake from moving single paths: records name files, and jobs read specifications beside them."""
    modifier = workflow.modifier.path_modifier
    modifier.prefix = modifier._prefix_replacements = modifier.inner_modifier = None
