"""The folder of `--truth`: masks named after the images, and labels.csv."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmran.data.cheng import parse_slice
from mmran.data.images import cjdata, pictures
from mmran.data.images.base import ReadOptions
from mmran.data.images.dicom import Dicom
from mmran.data.images.find import Found
from mmran.data.images.nifti import Nifti
from mmran.data.images.pictures import Picture
from mmran.data.matlab import SliceError, file_bytes
from mmran.data.published import CLASSES
from mmran.errors import UserError, known_names

LABELS = "labels.csv"


@dataclass
class Truth:
    """What a folder knows about the images.

    Attributes:
        folder: holds masks, named as the images or with `_mask`, `_seg` or `_label` after it, and labels.csv with the
            columns file and label.
        classes: names of the model's classes; labels are these names or their numbers from one.
        options: how the images were read.
    """

    folder: Path
    classes: Sequence[str]
    options: ReadOptions
    _labels: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise UserError(f"--truth {self.folder}: no such folder; expected masks named as the images")
        path = self.folder / LABELS
        if path.is_file():
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
            if missing := [name for name in ("file", "label") if name not in table]:
                raise UserError(f"{path}: lacks the column {missing[0]}; expected file,label")
            self._labels = {
                file: self._name(label, path) for file, label in zip(table["file"], table["label"], strict=True)
            }

    def of(self, image: Found, shapes: Sequence[tuple[int, int]]) -> tuple[list[NDArray[np.bool_]] | None, str | None]:
        """True masks, one per slice, and class of an image; None for what the folder does not know.

        Args:
            image: the image.
            shapes: (height, width) of its slices.

        Raises:
            UserError: the mask is damaged or of another size.
        """
        label = next(
            (self._labels[key] for key in (image.name, Path(image.name).name, image.file.stem) if key in self._labels),
            None,
        )
        path = self._mask_path(image)
        if path is None:
            return None, label
        masks, own_label = self._read(path, image)
        if [mask.shape for mask in masks] != list(shapes):
            found = f"{len(masks)} slices of {masks[0].shape[0]} x {masks[0].shape[1]}"
            raise UserError(f"{path}: holds {found}, but {image.name} {len(shapes)} of {shapes[0][0]} x {shapes[0][1]}")
        return masks, label or own_label

    def _mask_path(self, image: Found) -> Path | None:
        below = Path(image.name).parent
        stem = image.file.stem
        names = [f"{stem}{ending}" for ending in ("_mask", "_seg", "_label", "")]
        suffixes = (".mat", ".nii.gz", ".nii", *pictures.SUFFIXES)
        own = [self.folder / below / image.file.path.name, self.folder / image.file.path.name]
        places = [
            place / f"{name}{suffix}"
            for place in (self.folder / below, self.folder)
            for name in names
            for suffix in suffixes
        ]
        return next((path for path in (*own, *places) if path.is_file()), None)

    def _read(self, path: Path, image: Found) -> tuple[list[NDArray[np.bool_]], str | None]:
        if path.suffix.lower() in cjdata.SUFFIXES:
            return self._read_cjdata(path)
        reader = (
            Nifti(path, self.options)
            if path.name.lower().endswith((".nii", ".nii.gz"))
            else Picture(path, self.options)
        )
        n = reader.open()
        masks = [reader.read(i).pixels != 0 for i in range(n)]
        if isinstance(reader, Nifti) and isinstance(image.file, Dicom):
            masks = [reader.as_stored(mask).T for mask in masks]
        return masks, None

    def _read_cjdata(self, path: Path) -> tuple[list[NDArray[np.bool_]], str | None]:
        try:
            known = parse_slice(file_bytes(path), str(path), 1, self.classes or CLASSES)
        except SliceError:
            try:
                return [cjdata.read_mask(path)], None
            except (OSError, LookupError, ValueError, RuntimeError) as error:
                raise UserError(f"{path}: holds no cjdata.tumorMask; expected a mask of the image") from error
        return [known.mask != 0], self.classes[known.label - 1] if len(self.classes) >= known.label else None

    def _name(self, label: str, path: Path) -> str:
        if label in self.classes:
            return label
        if label.isdigit() and 1 <= int(label) <= len(self.classes):
            return self.classes[int(label) - 1]
        raise UserError(f"{path}: label {label!r} is unknown; {known_names(label, self.classes)}; or a number from 1")
