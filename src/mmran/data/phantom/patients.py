"""Synthetic slices in the layout of the data set, for demonstrations and tests.

Networks can learn from them, but they are not realistic: a head in two levels (through the ventricles and
through the skull base), and one tumor whose kind shows in its place, brightness and texture:

    meningioma   grows inward from the skull, smooth, bright and even, with a tail along the dura
    glioma       lies in the white matter, ragged, a bright rim around a dark core, swelling around it
    pituitary    sits in the middle of the skull base, small and oval, fairly bright

Some meningiomas and gliomas are hollow: their core looks healthy but belongs to the tumor.

All randomness is keyed by (seed, patient, slice), so a patient looks the same in a set of any size.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmran.data.cheng import Slice, border_mask, write_cvind, write_slice
from mmran.data.phantom.anatomy import Canvas, Field, Head, draw_head
from mmran.data.phantom.lesion import PITUITARY, draw_lesion, grow
from mmran.errors import UserError
from mmran.files import flush

_BRIGHTEST = 1400
_N_FOLDS = 5


@dataclass(frozen=True)
class Patient:
    """One examination.

    Attributes:
        k: counts the patients from zero.
        pid: MR... for gliomas, P... otherwise; a letter after the last digit marks a repeat examination.
        label: 1 meningioma, 2 glioma, 3 pituitary tumor.
        n_slices: slices in which the tumor shows.
        body: number of the patient whose head it is: another one for a repeat examination.
        half_size: imaged with half as many pixels a side.
    """

    k: int
    pid: str
    label: int
    n_slices: int
    body: int
    half_size: bool


def patient(seed: int, k: int) -> Patient:
    """Patient k: the three classes in turn; every fourth glioma is the one before it, examined again."""
    label = k % 3 + 1
    n_slices = int(_random(seed, k, purpose="patient").integers(3, 8))
    repeated = k % 12 == 10
    body = k - 3 if repeated else k
    pid = f"MR{900000 + body:06d}{'B' if repeated else ''}" if label == 2 else f"P{k:05d}"
    return Patient(k, pid, label, n_slices, body, half_size=k % 24 == 5)


def write_phantom(
    folder: Path | str,
    *,
    n_patients: int = 30,
    size: int = 256,
    seed: int = 1029,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write `1.mat`, `2.mat`, ... and `cvind.mat`, patient by patient.

    Args:
        folder: new, or empty; appears when it is complete.
        n_patients: how many.
        size: pixels a side, even.
        seed: seed of all random numbers.
        on_progress: called with the number of patients drawn and of all patients.

    Returns:
        The number of slices.

    Raises:
        UserError: a number out of range, or the folder is not empty or cannot be written.
    """
    folder = Path(folder)
    if n_patients < 1:
        raise UserError(f"patients {n_patients}: expected at least 1")
    if size < 32 or size % 2 or size > 4096:
        raise UserError(f"size {size}: expected an even number of pixels from 32 to 4096")
    if seed < 0:
        raise UserError(f"seed {seed}: expected a whole number from 0")
    try:
        if folder.exists() and next(folder.iterdir(), None):
            raise UserError(f"{folder}: is not empty; remove it or choose another folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
            new = Path(temporary) / folder.name
            new.mkdir()
            folds: list[int] = []
            for k in range(n_patients):
                for item in draw_patient(patient(seed, k), seed, size, first_number=len(folds) + 1):
                    write_slice(new, item)
                    folds.append(k // 3 % _N_FOLDS + 1)
                if on_progress:
                    on_progress(k + 1, n_patients)
            write_cvind(new, folds)
            flush(new)
            new.replace(folder)
            flush(folder.parent)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror})") from error
    return len(folds)


def draw_patient(who: Patient, seed: int, size: int, first_number: int) -> list[Slice]:
    """All slices of a patient, from one end of the tumor to the other."""
    side = size // 2 if who.half_size else size
    return [_draw_slice(who, j, seed, side, first_number + j) for j in range(who.n_slices)]


def _random(seed: int, *key: int, purpose: str) -> np.random.Generator:
    """A separate counter-based generator for every key."""
    words = [seed, *key, *purpose.encode()]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def _draw_slice(who: Patient, j: int, seed: int, size: int, number: int) -> Slice:
    canvas = Canvas(size)
    head = Head.drawn(_random(seed, who.body, purpose="head"))
    level = 0.85 * (2 * j / (who.n_slices - 1) - 1)
    base = who.label == PITUITARY or _random(seed, who.body, purpose="base").random() < 0.2
    lesion = grow(who.label, head, _random(seed, who.k, purpose="tumor"), level, smallest=1.5 * canvas.pixel)
    image = draw_head(canvas, head, _random(seed, who.body, purpose="brain"), base, level)
    draw_lesion(canvas, image, head, lesion, _random(seed, who.k, purpose="texture"))
    border = head.to_pixels(lesion.outline(), canvas)
    return Slice(
        number=number,
        label=who.label,
        pid=who.pid,
        image=_scanned(canvas, image, _random(seed, who.k, j, purpose="scan")),
        mask=border_mask(border, (size, size)),
        border=border,
    )


def _scanned(canvas: Canvas, image: Field, rng: np.random.Generator) -> NDArray[np.int16]:
    """The image as a scanner delivers it: uneven coil sensitivity, noise from two channels, whole numbers."""
    sharp = image * (1 + 0.06 * canvas.noise(rng, 2))
    noise = (0.014 * rng.standard_normal((2, canvas.size, canvas.size))).astype(np.float32)
    seen = np.hypot(sharp + noise[0], noise[1])
    return np.rint(np.clip(seen, 0, 1.3) * (_BRIGHTEST * rng.uniform(0.8, 1.2))).astype(np.int16)
