"""How images are segmented, and what decides the outputs of a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmran.data.images.base import ReadOptions
from mmran.evaluation.postprocess import RAW
from mmran.files import sha256_file
from mmran.inference.record import RECORD


@dataclass(frozen=True)
class Options:
    """How images are segmented.

    Attributes:
        variant: how masks are postprocessed: raw, pkp or pkp-guarded.
        flips: average over an image and its three mirror images.
        jobs: threads that read, measure and write.
        batch: slices that are predicted together; None for as many as in training.
    """

    variant: str = RAW
    flips: bool = False
    jobs: int = 1
    batch: int | None = None


def settings(folder: Path, options: Options, read: ReadOptions, truth: Path | None) -> dict[str, Any]:
    """What decides the outputs of a run, as JSON values: outputs of different settings never mix in one folder."""
    # The size of a batch decides last bits.
    batch = {} if options.batch is None else {"batch": options.batch}
    return batch | {
        "model": sha256_file(folder / RECORD),
        "variant": options.variant,
        "flips": options.flips,
        "axis": read.axis,
        "spacing_mm": read.spacing_mm,
        "truth": None if truth is None else str(truth.resolve()),
    }
