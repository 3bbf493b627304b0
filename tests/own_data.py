"""Data sets in the layout of images, masks, and slices.csv, drawn for tests."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def draw(folder: Path, classes: Sequence[str], n: int = 24, size: int = 32, without: Sequence[str] = ()) -> Path:
    """Write n images, each of a bright disk that tells its class by place and radius, two images per patient.

    Args:
        folder: gets images/, masks/, and slices.csv.
        classes: names of the classes, taken in turn.
        n: number of images.
        size: pixels along a side.
        without: columns that the table lacks, such as "mask" or "label".
    """
    rows, columns = np.indices((size, size))
    lines = []
    for i in range(n):
        patient = i // 2
        k = patient % len(classes)
        center = size * (0.3 + 0.4 * k / max(1, len(classes) - 1))
        inside = np.hypot(rows - center, columns - size / 2) < size * (0.1 + 0.02 * (i % 3))
        noise = np.random.default_rng(i).normal(0, 12, inside.shape)
        image = (60 + 120 * inside + noise).clip(0, 255).astype(np.uint8)
        line = {"slice": i + 1, "image": f"{i}.png", "mask": f"{i}.png", "label": classes[k], "patient": f"P{patient}"}
        lines.append({name: value for name, value in line.items() if name not in without} | {"spacing_mm": 1})
        _save(folder / "images" / f"{i}.png", image)
        if "mask" not in without:
            _save(folder / "masks" / f"{i}.png", inside.astype(np.uint8) * 255)
    with (folder / "slices.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return folder


def _save(path: Path, pixels: "np.ndarray") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
