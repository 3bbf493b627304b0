"""The three kinds of synthetic tumor: where each grows, its outline, and how it looks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmran.data.phantom.anatomy import (
    BRAIN_OUTSIDE,
    FLUID,
    SELLA,
    SKULL_INSIDE,
    SWELLING,
    Canvas,
    Field,
    Head,
    paint,
    radius_in_head,
)

MENINGIOMA, GLIOMA, PITUITARY = 1, 2, 3
_HOLLOW = 0.3
"""Share of meningiomas and gliomas whose core looks healthy."""
_DARK_CORE = {MENINGIOMA: 0.0, GLIOMA: 0.7, PITUITARY: 0.2}
"""Kind -> share of the others that have a dark core."""
_DIRECTIONS = np.linspace(-np.pi, np.pi, 48, endpoint=False)


@dataclass(frozen=True)
class Lesion:
    """A tumor in one slice.

    Attributes:
        kind: 1 meningioma, 2 glioma, 3 pituitary tumor.
        center: (2,) x, y in the head.
        radii: (48,) distance of the outline from the center in directions that start at -pi.
        core: the core's share of the radius; 0 for none.
        hollow: the core looks like the healthy tissue of its place, not dark. Only the rim around it gives it away,
            so a network that looks at brightness alone leaves a hole.
    """

    kind: int
    center: NDArray[np.float64]
    radii: NDArray[np.float64]
    core: float
    hollow: bool

    def outline(self) -> NDArray[np.float64]:
        """(48, 2) x, y in the head of the border polygon."""
        ahead = np.stack([np.cos(_DIRECTIONS), np.sin(_DIRECTIONS)], axis=1)
        return np.asarray(self.center + self.radii[:, None] * ahead, dtype=np.float64)


def grow(kind: int, head: Head, rng: np.random.Generator, level: float, smallest: float) -> Lesion:
    """The tumor of a patient where a slice cuts it.

    Args:
        kind: of tumor.
        head: in which it grows.
        rng: of the patient's tumor, new for each slice, so that the slices cut one tumor.
        level: -1 to 1 from its lower end to its upper.
        smallest: radius below which a slice of a coarse grid might miss it.
    """
    place = rng.uniform(-np.pi, np.pi)
    axes = np.array([head.half_width, head.half_length])
    toward = np.array([np.cos(place), np.sin(place)])
    if kind == MENINGIOMA:
        radius, ripple, squeeze = rng.uniform(0.15, 0.26), 0.03, rng.uniform(1.0, 1.25)
        center = axes * toward * (BRAIN_OUTSIDE - 0.8 * radius / axes.mean())
    elif kind == GLIOMA:
        radius, ripple, squeeze = rng.uniform(0.18, 0.32), 0.10, rng.uniform(1.0, 1.4)
        center = axes * toward * rng.uniform(0.30, 0.52)
    else:
        radius, ripple, squeeze = rng.uniform(0.065, 0.11), 0.04, rng.uniform(1.0, 1.35)
        center = np.array(SELLA) + rng.uniform(-0.015, 0.015, 2)
    hollow = kind != PITUITARY and rng.random() < _HOLLOW
    core = rng.uniform(0.60, 0.80) if hollow else rng.uniform(0.45, 0.68) * (rng.random() < _DARK_CORE[kind])
    waves = np.arange(2, 8)
    swing, start, drift = rng.standard_normal((3, waves.size))
    phases = _DIRECTIONS[:, None] * waves + 3 * start + 0.8 * level * drift
    wavy = 1 + ripple * (np.cos(phases) * swing / np.sqrt(waves / 2)).sum(axis=1)
    oval = _DIRECTIONS - (np.pi / 2 if kind == PITUITARY else place + np.pi / 2)
    stretch = np.hypot(np.cos(oval) / squeeze, np.sin(oval) * squeeze)
    radii = radius * np.sqrt(1 - 0.75 * level**2) * np.clip(wavy, 0.5, 1.6) / stretch
    radii = np.maximum(radii, smallest)
    center[0] *= 1 + 0.1 * center[1]  # as the head does
    return Lesion(kind, center, _kept_inside(head, center, radii), core, hollow)


def _kept_inside(head: Head, center: NDArray[np.float64], radii: NDArray[np.float64]) -> NDArray[np.float64]:
    """Radii cut back to where the outline meets the skull."""
    shares = np.linspace(0, 1, 65)
    ahead = radii[:, None] * shares  # (48, 65) steps from the center to the outline
    x = (center[0] + np.cos(_DIRECTIONS)[:, None] * ahead).astype(np.float32)
    y = (center[1] + np.sin(_DIRECTIONS)[:, None] * ahead).astype(np.float32)
    return radii * shares[np.count_nonzero(radius_in_head(head, x, y) < BRAIN_OUTSIDE, axis=1) - 1]


def draw_lesion(canvas: Canvas, image: Field, head: Head, lesion: Lesion, rng: np.random.Generator) -> None:
    """Paint a tumor, and what it does to its surroundings, over a head in place.

    Args:
        canvas: of the image.
        image: (S, S) brightness.
        head: whose head.
        lesion: the tumor.
        rng: of the patient's tumor, for its texture.
    """
    x, y = canvas.grid(head.shift, head.angle)
    coarse, fine = canvas.noise(rng, 14), canvas.noise(rng, 44)
    dx, dy = x - np.float32(lesion.center[0]), y - np.float32(lesion.center[1])
    radius = np.interp(np.arctan2(dy, dx), _DIRECTIONS, lesion.radii, period=2 * np.pi).astype(np.float32)
    rho = np.hypot(dx, dy) / radius
    inside = canvas.soft((1 - rho) * radius)
    r = radius_in_head(head, x, y)
    healthy = image.copy()
    if lesion.kind == MENINGIOMA:
        _paint_dural_tail(canvas, image, x, y, r, head, lesion)
        paint(image, 0.7 * canvas.soft((1.13 - rho) * radius) * canvas.soft(BRAIN_OUTSIDE - r), FLUID)
        paint(image, inside, 0.76 + 0.02 * coarse)
    elif lesion.kind == GLIOMA:
        reach = canvas.soft((1.45 + 0.22 * coarse - rho) * radius, 0.06) * canvas.soft(BRAIN_OUTSIDE - 0.02 - r)
        paint(image, 0.8 * reach, SWELLING)
        paint(image, inside, _glioma_texture(rho, coarse, fine, lesion.core))
    else:
        paint(image, inside, 0.60 + 0.025 * coarse + 0.05 * np.clip(rho, 0, 1))
    core = canvas.soft((lesion.core - rho) * radius)
    if lesion.hollow:
        paint(image, core, healthy)
    elif lesion.core and lesion.kind == PITUITARY:
        paint(image, core, FLUID + 0.06)


def _glioma_texture(rho: Field, coarse: Field, fine: Field, core: float) -> Field:
    """Patches that take up contrast agent beside some that do not; around a core, a ragged bright rim."""
    if not core:
        return np.clip(0.46 + 0.12 * coarse + 0.09 * fine, 0.18, 0.85)
    edge = core * (1 + 0.16 * coarse)
    rim = 0.68 + 0.10 * fine + 0.06 * coarse
    return np.where(rho > edge, np.clip(rim, 0.4, 0.9), FLUID + 0.05 + 0.02 * coarse).astype(np.float32)


def _paint_dural_tail(canvas: Canvas, image: Field, x: Field, y: Field, r: Field, head: Head, lesion: Lesion) -> None:
    along = np.arctan2(y / head.half_length, x / head.half_width)
    root = np.arctan2(lesion.center[1] / head.half_length, lesion.center[0] / head.half_width)
    away = np.abs(np.angle(np.exp(1j * (along - root))))
    reach = lesion.radii.max() / (BRAIN_OUTSIDE * head.half_width) + 0.25
    strip = canvas.soft(0.013 - np.abs(r - SKULL_INSIDE)) * np.clip((reach - away) / 0.2, 0, 1)
    paint(image, strip.astype(np.float32), 0.7)
