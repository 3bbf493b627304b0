"""How an image differs from the training images, as sentences with the measured values."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmran.inference.placement import Placement
from mmran.inference.record import Range, TrainingImages

MARGIN = 0.25
"""How far outside the range of training a statistic may lie, as a share of that range, before it counts as unlike."""


class Seen(NamedTuple):
    """What is compared.

    Attributes:
        placement: where the network's square lies in the image.
        constant: names of the channels whose two percentiles are equal; "" of a gray image.
        mean, std: of the normalized image.
        mask: (height, width) bool, the predicted one; None for a network without masks.
    """

    placement: Placement
    constant: Sequence[str]
    mean: float
    std: float
    mask: NDArray[np.bool_] | None


def unlike(seen: Seen, trained: TrainingImages) -> Iterator[str]:
    """Yield a line for each way in which an image is unlike those of training."""
    placement = seen.placement
    if placement.note:
        yield placement.note
    height, width = placement.shape
    if f"{height}x{width}" not in trained.sizes and placement.spacing_mm is None:
        yield f"{height} x {width} px and no spacing, training {' and '.join(trained.sizes)}: give --spacing-mm"
    if seen.constant:
        of = f" of channel {', '.join(seen.constant)}" if any(seen.constant) else ""
        yield f"nearly all pixels{of} have the same intensity: probably not an image of a head"
    else:
        for name, value, limits in (("mean", seen.mean, trained.mean), ("spread", seen.std, trained.std)):
            if _outside(value, limits):
                yield f"{name} intensity {value:.3f} after normalization, training {limits[0]:.3f} to {limits[1]:.3f}"
    if seen.mask is None:
        return
    if not seen.mask.any():
        yield "no tumor found, and training had no image without one"
    elif placement.spacing_mm is not None:
        area_mm2 = np.count_nonzero(seen.mask) * placement.spacing_mm[0] * placement.spacing_mm[1]
        low, high = trained.tumor_mm2
        if not low <= area_mm2 <= high:
            yield f"tumor of {area_mm2:.3g} mm², training {low:.3g} to {high:.3g} mm²"


def _outside(value: float, limits: Range) -> bool:
    margin = MARGIN * (limits[1] - limits[0])
    return not limits[0] - margin <= value <= limits[1] + margin
