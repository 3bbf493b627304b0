"""How a synthetic head and its tumor are drawn, as layers of brightness painted over one another.

Positions and lengths are in halves of the field of view: x to the right, y down, both -1 to 1. Brightness is
0 for air and 1 for fat, as in a T1-weighted image with contrast agent.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]

AIR, BONE, FLUID, SWELLING, GRAY, WHITE, VESSEL, FAT = 0.02, 0.07, 0.15, 0.27, 0.36, 0.43, 0.75, 0.92
SKULL_OUTSIDE, SKULL_INSIDE, BRAIN_OUTSIDE = 0.94, 0.895, 0.88  # of the head's radius
SELLA = (0.0, -0.1)


@dataclass(frozen=True)
class Canvas:
    """A square of pixels to paint on.

    Attributes:
        size: S, pixels a side.
    """

    size: int

    @property
    def pixel(self) -> float:
        """Width of a pixel."""
        return 2 / self.size

    @cached_property
    def _axis(self) -> Field:
        return ((np.arange(self.size, dtype=np.float32) + 0.5) * self.pixel - 1).astype(np.float32)

    def grid(self, shift: tuple[float, float], angle: float) -> tuple[Field, Field]:
        """(S, S) x and y as seen from a head that is shifted and turned (radians)."""
        x, y = self._axis[None, :] - np.float32(shift[0]), self._axis[:, None] - np.float32(shift[1])
        c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        return c * x + s * y, c * y - s * x

    def noise(self, rng: np.random.Generator, n_waves: int) -> Field:
        """(S, S) smooth noise of about unit variance, with that many bumps a side whatever the size."""
        knots = rng.standard_normal((n_waves + 3, n_waves + 3)).astype(np.float32)
        weights = _spline_weights((self._axis + 1) / 2 * n_waves, n_waves + 3)
        return 2.1 * (weights @ knots @ weights.T)

    def soft(self, depth: Field, width: float = 0.0) -> Field:
        """1 where `depth` is positive and 0 where negative, blended over `width`, at least over a pixel."""
        return np.clip(depth / max(width, 1.5 * self.pixel) + 0.5, 0, 1)


def _spline_weights(position: Field, n_knots: int) -> Field:
    """(S, K) weights of uniform cubic B-splines; position 0 lies on the second knot."""
    distance = np.abs(position[:, None] - (np.arange(n_knots, dtype=np.float32) - 1))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


def paint(image: Field, cover: Field, brightness: Field | float) -> None:
    """Lay a layer over the image in place, opaque where `cover` is 1."""
    image += cover * (brightness - image)


@dataclass(frozen=True)
class Head:
    """What differs between patients and is the same in all slices of one.

    Attributes:
        half_width: of the head.
        half_length: of the head.
        shift: of its center.
        angle: by which it is turned, radians.
        ventricle: size of the ventricles, about 1.
        fat: brightness of the scalp.
    """

    half_width: float
    half_length: float
    shift: tuple[float, float]
    angle: float
    ventricle: float
    fat: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Head":
        """Draw a random head."""
        return cls(
            half_width=rng.uniform(0.58, 0.66),
            half_length=rng.uniform(0.70, 0.80),
            shift=(rng.uniform(-0.04, 0.04), rng.uniform(-0.05, 0.05)),
            angle=rng.uniform(-0.1, 0.1),
            ventricle=rng.uniform(0.8, 1.25),
            fat=rng.uniform(0.75, 1.0) * FAT,
        )

    def to_pixels(self, points: NDArray[np.float64], canvas: Canvas) -> NDArray[np.float64]:
        """(n, 2) x, y in the head as x, y in pixels, zero at the center of the first pixel."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        turned = points @ np.array([[c, s], [-s, c]]) + self.shift
        return np.asarray((turned + 1) / canvas.pixel - 0.5, dtype=np.float64)


def radius_in_head(head: Head, x: Field, y: Field) -> Field:
    """How far out a place is: 0 in the middle, 1 on the skin. Heads are a little wider at the back."""
    width = np.float32(head.half_width) * (1 + np.float32(0.1) * y)
    return _length(x / width, y / np.float32(head.half_length))


def draw_head(canvas: Canvas, head: Head, rng: np.random.Generator, base: bool, level: float) -> Field:
    """(S, S) brightness of a head without a tumor.

    Args:
        canvas: what to paint on.
        head: whose head.
        rng: of the patient, so that folds and vessels stay where they are from slice to slice.
        base: through the skull base instead of the ventricles.
        level: -1 to 1, from the lowest slice to the highest.
    """
    x, y = canvas.grid(head.shift, head.angle)
    bumps = canvas.noise(rng, 3)
    # Textures drift as the slice moves: two patterns, blended with a constant variance.
    drift = np.cos(0.6 * level), np.sin(0.6 * level)
    ribbon, fine = (
        np.float32(drift[0]) * canvas.noise(rng, n_waves) + np.float32(drift[1]) * canvas.noise(rng, n_waves)
        for n_waves in (11, 40)
    )
    r = radius_in_head(head, x, y) * np.float32(1 + 0.03 * level) * (1 + np.float32(0.006) * bumps)

    image = np.full(r.shape, AIR, dtype=np.float32)
    paint(image, canvas.soft(1 - r), head.fat * (0.80 + 0.08 * ribbon + 0.08 * fine))
    paint(image, canvas.soft(SKULL_OUTSIDE + 0.008 * bumps + 0.006 * ribbon - r), BONE + 0.05 * np.abs(fine))
    paint(image, canvas.soft(SKULL_INSIDE - r), FLUID + 0.05 + 0.04 * fine)
    brain = canvas.soft(BRAIN_OUTSIDE - r)
    paint(image, brain, GRAY)
    grooves = _grooves(canvas, x, y, r, ribbon, fine, rng)
    paint(image, brain * canvas.soft(0.76 + 0.05 * ribbon - r - 0.25 * grooves, 0.12), WHITE)
    paint(image, brain * 0.75 * grooves, FLUID)
    image *= 1 + np.float32(0.02) * fine
    if base:
        _paint_skull_base(canvas, image, x, y, r, ribbon, fine)
    else:
        _paint_ventricles(canvas, image, x, y, r, head, level, ribbon)
    _paint_vessels(canvas, image, x, y, head, rng)
    return image


def _length(x: Field, y: Field) -> Field:
    """Like `numpy.hypot`, which guards against overflow and takes five times as long."""
    return np.sqrt(x * x + y * y)


def _grooves(
    canvas: Canvas, x: Field, y: Field, r: Field, ribbon: Field, fine: Field, rng: np.random.Generator
) -> Field:
    """(S, S) 0 to 1: where the folds of the cortex leave fluid between them, from the skull inward."""
    depth = np.clip((r - 0.67 - 0.06 * ribbon) / 0.2, 0, 1)
    around = np.arctan2(y, x) * rng.integers(17, 24) + 2.0 * ribbon + 0.7 * fine + 2.0 * canvas.noise(rng, 5)
    width = 0.18 + 0.25 * depth
    return depth * np.exp(-((np.sin(around) / width) ** 2))


def _ellipse(x: Field, y: Field, at: tuple[float, float], half: tuple[float, float]) -> Field:
    """Depth inside an ellipse: positive within, about in units of length."""
    dx, dy = (x - np.float32(at[0])) / np.float32(half[0]), (y - np.float32(at[1])) / np.float32(half[1])
    return (1 - _length(dx, dy)) * np.float32(min(half))


def _paint_ventricles(
    canvas: Canvas, image: Field, x: Field, y: Field, r: Field, head: Head, level: float, ribbon: Field
) -> None:
    side = np.abs(x)
    # The midline: a cleft of fluid with the bright falx in it, in front and behind.
    wavy = np.abs(x + 0.007 * ribbon)
    ends = canvas.soft(np.abs(y + 0.03) - 0.33, 0.06) * canvas.soft(BRAIN_OUTSIDE - r)
    paint(image, 0.7 * ends * canvas.soft(0.014 - wavy, 0.015), FLUID)
    paint(image, 0.9 * ends * canvas.soft(0.004 - np.abs(x)), 0.6)
    # Deep gray matter on both sides, then the horns, which bend outward to the front and to the back.
    paint(image, 0.8 * canvas.soft(_ellipse(side, y, (0.17, 0.0), (0.085, 0.16)), 0.03), GRAY)
    size = head.ventricle * (1 + 0.15 * level)
    bent = side - 0.045 - 1.1 * y * y / size
    front = _ellipse(bent, y, (0, -0.13 * size), (0.030 * size, 0.13 * size))
    back = _ellipse(bent, y, (0, 0.22 * size), (0.036 * size, 0.13 * size))
    paint(image, canvas.soft(np.maximum(front, back)), FLUID - 0.03)
    paint(image, canvas.soft(_ellipse(x, y, (0, 0.05), (0.013 * size, 0.08))), FLUID)
    # The choroid plexus takes up contrast agent.
    paint(image, 0.8 * canvas.soft(_ellipse(bent, y, (0, 0.2 * size), (0.014, 0.045))), VESSEL - 0.1)


def _paint_skull_base(canvas: Canvas, image: Field, x: Field, y: Field, r: Field, ribbon: Field, fine: Field) -> None:
    side = np.abs(x)
    # Face: orbits with eyes in fat, their muscles, and the air of the sinuses between them.
    face = canvas.soft(-0.27 - 0.25 * side - y, 0.02) * canvas.soft(0.95 - r)
    paint(image, face, 0.33 + 0.08 * ribbon + 0.08 * fine)
    cone = _ellipse(side + 0.3 * (y + 0.45), y, (0.22, -0.40), (0.10, 0.15))
    paint(image, canvas.soft(cone, 0.03), 0.66 + 0.05 * fine)
    paint(image, canvas.soft(0.012 - np.abs(cone - 0.025)) * canvas.soft(y + 0.47), 0.38)
    paint(image, canvas.soft(_ellipse(side, y, (0.225, -0.50), (0.078, 0.078))), 0.45)
    paint(image, canvas.soft(_ellipse(side, y, (0.225, -0.50), (0.068, 0.068))), 0.20)
    sinus = canvas.soft(_ellipse(x, y, (0, -0.38), (0.085, 0.19)) + 0.012 * ribbon, 0.01)
    paint(image, sinus, AIR + 0.03)
    paint(image, sinus * np.exp(-((fine / 0.3) ** 2)), 0.5)
    # Petrous bone and its air cells behind the temporal lobes.
    ridge = canvas.soft(0.035 + 0.02 * ribbon - np.abs(y - 0.10 - 0.35 * (side - 0.15)), 0.02)
    cells = ridge * canvas.soft(side - 0.16, 0.04) * canvas.soft(0.9 - r)
    paint(image, cells, BONE + 0.12 * np.abs(fine))
    # Cerebellum with its fine leaves, brain stem, and the fluid around them.
    cerebellum = canvas.soft(_ellipse(x, y, (0, 0.40), (0.38, 0.25)) + 0.015 * ribbon, 0.02)
    leaves = np.sin(110 * _length(x * 0.7, y - 0.12) + 2.5 * ribbon)
    paint(image, cerebellum, GRAY + 0.04 + 0.02 * leaves)
    paint(image, 0.8 * canvas.soft(_ellipse(x, y, (0, 0.11), (0.15, 0.13)) + 0.012 * ribbon, 0.02), FLUID)
    paint(image, canvas.soft(_ellipse(x, y, (0, 0.13), (0.115, 0.105)) + 0.006 * ribbon, 0.02), WHITE + 0.01)
    paint(image, canvas.soft(_ellipse(x, y, (0, 0.26), (0.05, 0.022))), FLUID - 0.03)
    # The sella in its dark cistern, between the carotid arteries.
    paint(image, canvas.soft(_ellipse(x, y, SELLA, (0.16, 0.085)) + 0.015 * ribbon, 0.02), FLUID + 0.03)
    paint(image, canvas.soft(_ellipse(side, y, (0.105, SELLA[1]), (0.024, 0.028))), 0.62)


def _paint_vessels(canvas: Canvas, image: Field, x: Field, y: Field, head: Head, rng: np.random.Generator) -> None:
    """The large sinus at the back and a scatter of small vessels."""
    back = head.half_length * SKULL_INSIDE - 0.02
    paint_dot(canvas, image, x, y, head, (0, back), (0.04, 0.025), VESSEL)
    for _ in range(16):
        direction, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.85)
        at = (head.half_width * depth * np.cos(direction), head.half_length * depth * np.sin(direction))
        half = (rng.uniform(0.004, 0.008), rng.uniform(0.004, 0.014))
        paint_dot(canvas, image, x, y, head, at, half, VESSEL * rng.uniform(0.7, 1))


def paint_dot(
    canvas: Canvas,
    image: Field,
    x: Field,
    y: Field,
    head: Head,
    at: tuple[float, float],
    half: tuple[float, float],
    brightness: float,
) -> None:
    """Paint a small ellipse, looking only at the pixels around it."""
    column, row = np.rint(head.to_pixels(np.array([at]), canvas)[0]).astype(int)
    reach = int(max(half) / canvas.pixel) + 3
    around = np.s_[max(row - reach, 0) : row + reach, max(column - reach, 0) : column + reach]
    paint(image[around], canvas.soft(_ellipse(x[around], y[around], at, half)), brightness)
