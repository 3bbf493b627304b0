"""What mmran uses of Snakemake beyond its documentation."""

import os
from collections.abc import Callable
from typing import Any

from mmran.errors import UserError


def require(owner: Any, *names: str) -> None:
    """Refuse a Snakemake that lacks an undocumented attribute that mmran uses.

    Raises:
        UserError: names the version and the remedy.
    """
    import snakemake

    if missing := [name for name in names if not hasattr(owner, name)]:
        of = getattr(owner, "__name__", type(owner).__name__)
        raise UserError(
            f"Snakemake {snakemake.__version__} has no {of}.{missing[0]}, which mmran uses to decide what reruns; "
            "install the version in envs/requirements.lock"
        )


def tolerate_vanishing_files() -> Callable[[], None]:
    """Let Snakemake look at results while the jobs of another run rewrite them.

    Snakemake asks which files exist, and later for their times, their sizes, and whether they may be written. A job
    that starts in between has removed its outputs, and a dry run would end in an error. Records decide what reruns, so
    the time of a removed file does not matter; nothing protects it, and it is not what it was.

    Returns:
        A function that makes a removed file an error again.

    Raises:
        UserError: this Snakemake looks at files in another way.
    """
    from snakemake.exceptions import WorkflowError
    from snakemake.io import _IOFile
    from snakemake_interface_storage_plugins.exceptions import FileOrDirectoryNotFoundError
    from snakemake_interface_storage_plugins.io import Mtime

    require(_IOFile, "mtime_uncached", "protected", "is_checksum_eligible")
    strict = (_IOFile.mtime_uncached, _IOFile.protected, _IOFile.is_checksum_eligible)
    mtime_of, is_protected, is_eligible = strict

    async def mtime_uncached(file: Any, *args: Any, **options: Any) -> Mtime:
        try:
            return await mtime_of(file, *args, **options)
        except WorkflowError as error:
            # A link to nothing was not removed, and a file that may not be read can be anything.
            if os.path.lexists(file) or not isinstance(error.__context__, FileNotFoundError):
                raise
            return Mtime(local=0)

    async def protected(file: Any) -> bool:
        # To Snakemake, a removed file is one that may not be written.
        return await is_protected(file) and os.path.lexists(file) and not os.access(file, os.W_OK)

    async def is_checksum_eligible(file: Any, threshold: int) -> bool:
        try:
            return bool(await is_eligible(file, threshold))
        except (FileNotFoundError, FileOrDirectoryNotFoundError):
            return False

    def patch(*methods: Any) -> None:
        _IOFile.mtime_uncached, _IOFile.protected, _IOFile.is_checksum_eligible = methods

    patch(mtime_uncached, protected, is_checksum_eligible)
    return lambda: patch(*strict)
