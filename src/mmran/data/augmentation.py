"""What the augmentation draws, as plain values: no torch, so that a configuration is checked in a moment."""

import math
from dataclasses import dataclass
from typing import Final

from mmran.errors import UserError

REFERENCE_SIZE: Final = 512
"""Image side in pixels for which `elastic_alpha` and `elastic_sigma` are given; both scale with the image."""


@dataclass(frozen=True)
class Augmentation:
    """Which transforms each slice gets in each epoch; a range of zero, or False, turns a transform off.

    Attributes:
        probability: chance of each transform, independent of the others.
        horizontal_flip: swap left and right.
        vertical_flip: swap top and bottom.
        rotation_degrees: angles are uniform in +- this, about the center.
        noise_sigma: standard deviation of the Gaussian noise, as a fraction of the intensity range 0..1.
        elastic_alpha: scale in pixels of the uniform displacements before smoothing.
        elastic_sigma: width in pixels of the Gaussian that smooths them.
        extra: transforms from outside, "package.module:function", applied in order after the others.

    Raises:
        UserError: a value is out of range.
    """

    probability: float
    horizontal_flip: bool
    vertical_flip: bool
    rotation_degrees: float
    noise_sigma: float
    elastic_alpha: float
    elastic_sigma: float
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise UserError(f"augmentation.probability: {self.probability} is not between 0 and 1")
        for name in ("rotation_degrees", "noise_sigma", "elastic_alpha"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise UserError(f"augmentation.{name}: {value} is neither zero (off) nor a positive number")
        if not 0 < self.elastic_sigma < math.inf:
            raise UserError(f"augmentation.elastic_sigma: {self.elastic_sigma} is not a positive number")

    @property
    def n_intervals(self) -> int:
        """Spline intervals across the image, whatever its size.

        A cubic B-spline of knot distance h has the variance h^2 / 3; that of the Gaussian is sigma^2.
        """
        return max(1, round(REFERENCE_SIZE / (math.sqrt(3) * self.elastic_sigma)))

    @property
    def control_amplitude(self) -> float:
        """Largest displacement of a control point, in half image sides.

        Smoothing white noise multiplies its standard deviation by the filter's L2 norm: for the Gaussian in
        two dimensions 1 / (2 sqrt(pi) sigma), for the B-spline 151 / 315, the central value of the spline of
        degree 7. The amplitude makes both fields equally strong.
        """
        gaussian = self.elastic_alpha / (2 * math.sqrt(math.pi) * self.elastic_sigma)
        return gaussian * (315 / 151) * 2 / REFERENCE_SIZE
