"""Data sets in the layout of images, masks, and slices.csv, drawn for tests."""

import csv
from collections.abc import Mapping, Sequence
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
    write_table(folder, lines)
    return folder


def draw_channels(folder: Path, channels: Sequence[str], tumor_in: str, n: int = 24, size: int = 32) -> Path:
    """Write n images of several channels, one file each, of which one channel alone shows the tumor.

    Every other channel has a disk elsewhere, so that a network has to look at the right one.

    Args:
        folder: gets images/, masks/, and slices.csv with the classes upper and lower.
        channels: names of the channels.
        tumor_in: the channel that shows the tumor.
        n: number of images, two per patient.
        size: pixels along a side.
    """
    rows, columns = np.indices((size, size))
    lines = []
    for i in range(n):
        rng, label = np.random.default_rng(i), i // 2 % 2
        tumor = np.hypot(rows - size * (0.3 + 0.4 * label), columns - size * rng.uniform(0.35, 0.65)) < size * 0.15
        line = {"slice": i + 1, "mask": f"{i}.png", "label": ("upper", "lower")[label], "patient": f"P{i // 2}"}
        for channel in channels:
            row, column = rng.uniform(0.25, 0.75, 2) * size
            bright = tumor if channel == tumor_in else np.hypot(rows - row, columns - column) < size * 0.15
            image = (60 + 120 * bright + rng.normal(0, 12, bright.shape)).clip(0, 255).astype(np.uint8)
            line[f"image_{channel}"] = f"{i}_{channel}.png"
            _save(folder / "images" / f"{i}_{channel}.png", image)
        _save(folder / "masks" / f"{i}.png", tumor.astype(np.uint8) * 255)
        lines.append(line | {"spacing_mm": 1})
    write_table(folder, lines)
    return folder


def write_table(folder: Path, lines: Sequence[Mapping[str, object]]) -> None:
    """Write slices.csv, whose columns are the keys of the first line."""
    with (folder / "slices.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


def _save(path: Path, pixels: "np.ndarray") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
