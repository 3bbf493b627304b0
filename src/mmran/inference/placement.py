"""Where the network's square lies in an image: as in training, unless training had no pixels of that size."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmran.config.experiment import Input
from mmran.data.geometry import fit_image, network_spacing_mm, restore
from mmran.data.images.base import Spacing
from mmran.errors import UserError
from mmran.inference.record import TrainingImages

SPACING_TOLERANCE = 0.02
"""How far outside the range of training a network pixel may be before the image is scaled."""
SQUARE_TOLERANCE = 0.01
"""How far the two sides of a pixel may differ and still count as square."""


@dataclass(frozen=True)
class Placement:
    """How one image becomes the network's square, and how a map of the network is restored to the image.

    Attributes:
        shape: (height, width) of the image.
        spacing_mm: of its pixels, or None if unknown.
        square_shape: the same after its pixels were made square.
        size: S, side of the network's input.
        fit: "pad" or "resample", as in training.
        field: side, in square pixels, of the centered field that is scaled to S x S; None for the fit of training.
        note: what differs from training; empty if nothing does.
    """

    shape: tuple[int, int]
    spacing_mm: Spacing | None
    square_shape: tuple[int, int]
    size: int
    fit: str
    field: int | None = None
    note: str = ""

    @classmethod
    def of(
        cls, shape: tuple[int, int], spacing_mm: Spacing | None, options: Input, trained: TrainingImages
    ) -> "Placement":
        """Decide what the network sees.

        An image whose network pixels are as large as some in training is fitted as in training. Another one is scaled
        to the median network pixel of training. Without spacing, an image is fitted as in training if it can be.

        Args:
            shape: (height, width) of the image.
            spacing_mm: of its pixels, or None if unknown.
            options: size and fit of training.
            trained: the spacings of training.
        """
        size, fit = options.size, options.fit
        if spacing_mm is None:
            if fit == "pad" and max(shape) > size:
                note = f"{shape[0]} x {shape[1]} px without spacing do not fit {size} x {size}: scaled as a whole"
                return cls(shape, None, shape, size, fit, max(shape), note)
            return cls(shape, None, shape, size, fit)
        pixel_mm = min(spacing_mm)
        square = shape
        if max(spacing_mm) > (1 + SQUARE_TOLERANCE) * pixel_mm:
            square = (
                max(1, round(shape[0] * spacing_mm[0] / pixel_mm)),
                max(1, round(shape[1] * spacing_mm[1] / pixel_mm)),
            )
        low, high = trained.network_spacing_mm
        if fit == "resample" or max(square) <= size:
            own_mm = network_spacing_mm(pixel_mm, *square, size, fit)
            if (1 - SPACING_TOLERANCE) * low <= own_mm <= (1 + SPACING_TOLERANCE) * high:
                return cls(shape, spacing_mm, square, size, fit)
        network_mm = trained.network_spacing_median_mm
        field = max(1, round(size * network_mm / pixel_mm))
        crop = ", with its margin cropped" if field < max(square) else ""
        note = (
            f"pixels of {pixel_mm:.3g} mm, training {_span(trained.spacing_mm)} mm: scaled to {network_mm:.3g} mm{crop}"
        )
        return cls(shape, spacing_mm, square, size, fit, field, note)

    def to_network(self, image: NDArray[Any]) -> NDArray[Any]:
        """The network's view: (height, width) of any real dtype -> (S, S) of the same."""
        fill = image.min()
        image = _scaled(image, self.square_shape)
        if self.field is None:
            return fit_image(image, self.size, self.fit, fill=fill)
        return fit_image(_recentered(image, (self.field, self.field), fill), self.size, "resample")

    def to_image(self, probability: NDArray[np.float32]) -> NDArray[np.float32]:
        """The inverse: (S, S) -> (height, width) float32; 0 where the network saw nothing."""
        if self.field is None:
            square = restore(probability, *self.square_shape, self.fit)
        else:
            field = restore(probability, self.field, self.field, "resample")
            square = _recentered(field, self.square_shape, 0)
        return np.clip(_scaled(square, self.shape), 0, 1) if self.shape != self.square_shape else square

    def seen(self) -> tuple[slice, slice]:
        """Rows and columns of the image that the network saw."""
        rows, columns = (self._seen(axis) for axis in (0, 1))
        return rows, columns

    def _seen(self, axis: int) -> slice:
        n, n_square = self.shape[axis], self.square_shape[axis]
        if self.field is None or self.field >= n_square:
            return slice(0, n)
        start = (n_square - self.field) // 2
        return slice(round(start * n / n_square), round((start + self.field) * n / n_square))


def _span(values: tuple[float, float]) -> str:
    low, high = (f"{value:.3g}" for value in values)
    return low if low == high else f"{low} to {high}"


def _recentered(image: NDArray[Any], shape: tuple[int, int], fill: float) -> NDArray[Any]:
    """Crop or pad each axis around the center; an odd extra pixel is below or to the right, as in `data.geometry`."""
    result = np.full(shape, fill, dtype=image.dtype)
    into, out_of = [], []
    for before, after in zip(image.shape, shape, strict=True):
        n = min(before, after)
        start_before, start_after = max(0, before - after) // 2, max(0, after - before) // 2
        out_of.append(slice(start_before, start_before + n))
        into.append(slice(start_after, start_after + n))
    result[tuple(into)] = image[tuple(out_of)]
    return result


def _scaled(image: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Linear interpolation between pixel centers, integers rounded."""
    if image.shape == shape:
        return image
    from scipy import ndimage

    factors = [after / before for after, before in zip(shape, image.shape, strict=True)]
    scaled = ndimage.zoom(image.astype(np.float32), factors, order=1, grid_mode=True, mode="nearest")
    if scaled.shape != shape:
        raise UserError(f"an image of {image.shape} pixels cannot be scaled to {shape}; resample it before")
    return (np.rint(scaled) if np.issubdtype(image.dtype, np.integer) else scaled).astype(image.dtype)
