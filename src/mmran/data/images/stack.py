"""Several files of one image, one for each channel, read as one: `case_t1.nii.gz` and `case_t2.nii.gz` are `case`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mmran.data.images.base import ImageFile, ImageSlice, ReadOptions
from mmran.data.images.nifti import Nifti, refuse_other_affine
from mmran.data.images.pictures import Picture
from mmran.data.matlab import SliceError

SEPARATORS = "_-"
"""Characters that part the name of a case from that of a channel."""

Place = TypeVar("Place")


class Stack(ImageFile):
    """Files of one channel each, of equal size and place, as one image.

    Args:
        files: in the order of the channels.
        options: how the image is read; its channels name the files.
        path: what the image is called; no such file need exist.
        fault: why the files are no image, if they are not.
    """

    def __init__(
        self, files: Sequence[ImageFile], options: ReadOptions, path: Path, fault: SliceError | None = None
    ) -> None:
        super().__init__(path, options)
        self.files, self._fault = tuple(files), fault

    @property
    def stem(self) -> str:
        """The name without the ending that the files share."""
        return self.path.name.removesuffix(_ending(self.first))

    @property
    def first(self) -> ImageFile:
        """The file of the first channel, whose format, size, and place are those of the image."""
        return self.files[0]

    def open(self) -> int:
        """Read the headers of all files."""
        if self._fault is not None:
            raise self._fault
        counts = [file.open() for file in self.files]
        for channel, file, n in zip(self.options.channels, self.files, counts, strict=True):
            if n != counts[0]:
                raise SliceError(
                    str(file.path), f"has {n} slices, but {self.first.path} {counts[0]}; channels must be of one size"
                )
            if isinstance(file, Nifti) != isinstance(self.first, Nifti):
                raise SliceError(
                    str(file.path), f"is of another format than {self.first.path}; save all channels in the same"
                )
            if isinstance(file, Nifti) and isinstance(self.first, Nifti):
                what = f"channel {channel} has another affine than"
                refuse_other_affine(file, self.first, what, "resample one to the other")
        self.notes = list(dict.fromkeys(note for file in self.files for note in file.notes))
        return counts[0]

    def read(self, i: int) -> ImageSlice:
        """Read slice `i` of all files."""
        slices = [file.read(i) for file in self.files]
        shape = slices[0].pixels.shape
        for file, one in zip(self.files, slices, strict=True):
            if one.pixels.shape != shape:
                raise SliceError(
                    str(file.path),
                    f"is {one.pixels.shape[1]} x {one.pixels.shape[0]} px, but {self.first.path} "
                    f"{shape[1]} x {shape[0]}; channels must be of one size",
                )
        return ImageSlice(np.stack([one.pixels for one in slices]), slices[0].spacing_mm)

    def mask_paths(self, base: Path) -> tuple[Path, ...]:
        """Those of the first file."""
        return self.first.mask_paths(base)

    def write_masks(self, masks: Sequence[NDArray[np.bool_]], base: Path) -> None:
        """Write masks in the format and geometry of the first file."""
        self.first.write_masks(masks, base)

    def close(self) -> None:
        """Release the memory of all files."""
        for file in self.files:
            file.close()


def stacked(found: Sequence[tuple[Place, ImageFile]], options: ReadOptions) -> list[tuple[Place, ImageFile]]:
    """Group pictures, and NIfTI files, that are named after channels; a file without companions stays as it is.

    A group that lacks channels, or has one twice, cannot be opened.

    Args:
        found: place of the outputs, and file.
        options: how images are read; without channels, nothing is grouped.
    """
    groups: dict[tuple[Path, str], dict[str, list[tuple[Place, ImageFile]]]] = {}
    for place, file in found if options.channels else ():
        split = _case_and_channel(file.stem, options.channels) if isinstance(file, Nifti | Picture) else None
        if split is not None:
            case, channel = split
            groups.setdefault((file.path.parent, case), {}).setdefault(channel, []).append((place, file))
    whole = {key: group for key, group in groups.items() if len(group) > 1}
    members = {id(file) for group in whole.values() for files in group.values() for _, file in files}
    result = [(place, file) for place, file in found if id(file) not in members]
    for (folder, case), group in whole.items():
        files = [group[channel][0] for channel in options.channels if channel in group]
        single = [type(file)(file.path, options.of_one_channel()) for _, file in files]
        path = folder / f"{case}{_ending(files[0][1])}"
        result.append((files[0][0], Stack(single, options, path, _fault(path, group, options.channels))))
    return result


def _ending(file: ImageFile) -> str:
    """What follows the stem, such as ".nii.gz"."""
    return file.path.name[len(file.stem) :]


def _case_and_channel(stem: str, channels: Sequence[str]) -> tuple[str, str] | None:
    for channel in sorted(channels, key=len, reverse=True):
        case = stem.removesuffix(channel)
        if case != stem and case[-1:] and case[-1] in SEPARATORS and len(case) > 1:
            return case[:-1], channel
    return None


def _fault(
    path: Path, group: Mapping[str, Sequence[tuple[Place, ImageFile]]], channels: Sequence[str]
) -> SliceError | None:
    """Why the files of a group are no image, or None."""
    if missing := [channel for channel in channels if channel not in group]:
        have = " and ".join(file.path.name for name in channels for _, file in group.get(name, ()))
        return SliceError(
            str(path), f"has {have}, but no file of channel {', '.join(missing)}; add it, or move the files away"
        )
    if twice := next((files for files in group.values() if len(files) > 1), None):
        (_, first), (_, second), *_ = twice
        return SliceError(str(second.path), f"is the same channel as {first.path.name}; keep one of them")
    return None
