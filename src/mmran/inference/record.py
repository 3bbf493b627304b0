"""package.json: what a model package holds, how its images are prepared, and what its training images looked like."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmran.errors import UserError
from mmran.files import read_json, write_json

FORMAT = 2
"""Written for images of several channels; a package of gray images has format 1, which earlier versions read too."""

FORMAT_OF_GRAY = 1
RECORD, SPEC, RESULTS, CARD, WEIGHTS = "package.json", "spec.json", "results.csv", "README.md", "weights"
"""Files of a package, and the folder of its weights."""

NOTICE = "Research software, not a medical device: nothing that it prints is a diagnosis."


@dataclass(frozen=True)
class Weights:
    """The weights of one trial.

    Attributes:
        file: path below the package.
        seed, fold: of the trial.
        sha256: of the file.
        device: cpu or cuda, where it was trained.
        precision: of the forward passes in training: float32, bfloat16 or float16.
    """

    file: str
    seed: int
    fold: int
    sha256: str
    device: str
    precision: str


Range = tuple[float, float]
"""Smallest and largest value among the training slices."""


@dataclass(frozen=True)
class TrainingImages:
    """What the training slices looked like; an image outside these ranges is unlike them.

    Attributes:
        slices: how many trained, all folds together.
        sizes: native sizes, such as "512x512".
        image_type: NumPy type that the slices were stored in.
        field_of_view_mm: median side of the imaged square.
        spacing_mm: side of a native pixel.
        network_spacing_mm: side of a pixel of the network's input.
        network_spacing_median_mm: its median.
        mean, std: of an image's intensities after normalization to 0..1.
        tumor_mm2: area of the tumors.
    """

    slices: int
    sizes: tuple[str, ...]
    image_type: str
    field_of_view_mm: float
    spacing_mm: Range
    network_spacing_mm: Range
    network_spacing_median_mm: float
    mean: Range
    std: Range
    tumor_mm2: Range


@dataclass(frozen=True)
class Package:
    """The record of a package.

    Attributes:
        format: version of this layout.
        experiment, protocol: what was trained, and under which split.
        tasks: some of "segmentation" and "classification".
        classes: names in the order of the class probabilities; empty for a network that only segments.
        preprocessing: what happens to an image before the network, step by step.
        training_images: what the network has seen.
        weights: one entry per seed and fold; predictions are the mean over them.
        digests: SHA-256 of spec.json and results.csv, and of the data, split and cases behind them.
        versions: of mmran, torch and Python that trained, and of the mmran that packaged.
        licenses: of code and data.
        notice: what the model must not be used for.
        channels: names of an image's channels in the order of the input; empty for gray images.
    """

    format: int
    experiment: str
    protocol: str
    tasks: tuple[str, ...]
    classes: tuple[str, ...]
    preprocessing: tuple[str, ...]
    training_images: TrainingImages
    weights: tuple[Weights, ...]
    digests: Mapping[str, str]
    versions: Mapping[str, str]
    licenses: Mapping[str, str]
    notice: str
    channels: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Write package.json into the package's folder."""
        values = dataclasses.asdict(self)
        if not self.channels:
            del values["channels"]
        write_json(folder / RECORD, values)

    @classmethod
    def read(cls, folder: Path) -> "Package":
        """Read package.json of a package's folder.

        Raises:
            UserError: the folder is not a package, its package.json is damaged, or a newer mmran wrote it.
        """
        path = folder / RECORD
        if not path.is_file():
            raise UserError(f"{folder}: not a model package (no {RECORD}); make one with `mmran package`")
        values = read_json(path)
        _refuse_other_formats(path, values)
        try:
            return cls._from_values(values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{path}: damaged record of a package ({error}); run `mmran package` again") from error

    @classmethod
    def _from_values(cls, values: dict[str, Any]) -> "Package":
        images = dict(values["training_images"])
        images["sizes"] = tuple(images["sizes"])
        for field in dataclasses.fields(TrainingImages):
            if field.type == Range:
                low, high = images[field.name]
                images[field.name] = (float(low), float(high))
        return cls(
            **values
            | {
                "tasks": tuple(values["tasks"]),
                "classes": tuple(values["classes"]),
                "channels": tuple(values.get("channels", ())),
                "preprocessing": tuple(values["preprocessing"]),
                "training_images": TrainingImages(**images),
                "weights": tuple(Weights(**one) for one in values["weights"]),
            }
        )


def _refuse_other_formats(path: Path, values: Any) -> None:
    found = values.get("format") if isinstance(values, dict) else None
    if not isinstance(found, int):
        raise UserError(f"{path}: not the record of a model package (no format); make one with `mmran package`")
    if found > FORMAT:
        versions = values.get("versions")
        writer = versions.get("packaged_by", "") if isinstance(versions, dict) else ""
        raise UserError(
            f"{path}: has format {found}, written by mmran {writer}, but this mmran reads formats up to {FORMAT}; "
            "install a newer mmran"
        )
