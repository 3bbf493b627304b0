"""What the user names -> image files, and where the outputs of each go."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmran.data.cheng import FOLDS_FILE
from mmran.data.images import cjdata, dicom, nifti, pictures
from mmran.data.images.base import ImageFile, ReadOptions
from mmran.data.images.stack import stacked
from mmran.errors import UserError

_KINDS: tuple[tuple[tuple[str, ...], type[ImageFile]], ...] = (
    (pictures.SUFFIXES, pictures.Picture),
    (cjdata.SUFFIXES, cjdata.Cjdata),
    (nifti.SUFFIXES, nifti.Nifti),
    (dicom.SUFFIXES, dicom.Dicom),
)
SUFFIXES = tuple(suffix for suffixes, _ in _KINDS for suffix in suffixes)


@dataclass(frozen=True)
class Found:
    """One image to segment.

    Attributes:
        name: what the csv calls it: its path below the folder that the user named.
        file: the reader.
        base: folder and name of its outputs, without ending.
    """

    name: str
    file: ImageFile
    base: Path


@dataclass(frozen=True)
class Search:
    """Images below the named paths, and the number of skipped files of each other ending or name."""

    images: list[Found]
    passed_over: dict[str, int]

    def notes(self) -> list[str]:
        """A line about the skipped files, if there are any."""
        if not self.passed_over:
            return []
        n = sum(self.passed_over.values())
        kinds = ", ".join(sorted(self.passed_over)[:5])
        return [f"{n} file{'s' * (n > 1)} skipped, not images ({kinds})"]


def find_images(inputs: Sequence[Path], output: Path, options: ReadOptions) -> Search:
    """Find the images of files and folders.

    Args:
        inputs: files and folders; a folder is searched below, hidden files and the output folder left out.
        output: folder of the outputs, which mirror the folders of the inputs.
        options: how files are read; files that are named after its channels become one image.

    Raises:
        UserError: an input does not exist or is of an unknown kind, nothing is found, or two images would write the
            same file.
    """
    found: list[tuple[Path, ImageFile]] = []
    passed_over: Counter[str] = Counter()
    for path in inputs:
        if path.is_dir():
            below, others = _in_folder(path, output, options)
            found += below
            passed_over.update(others)
        elif path.exists():
            found.append((Path(), _one(path, options)))
        else:
            raise UserError(f"{path}: no such file or folder")
    if not found:
        places = ", ".join(map(str, inputs))
        raise UserError(f"{places}: no image found; expected {', '.join(SUFFIXES)} or DICOM files")
    return Search(_placed(stacked(found, options), output), dict(passed_over))


def _one(path: Path, options: ReadOptions) -> ImageFile:
    kind = _kind(path)
    if kind is None:
        raise UserError(f"{path}: is of an unknown kind; expected {', '.join(SUFFIXES)} or DICOM files")
    return kind(path, options)


def _kind(path: Path) -> type[ImageFile] | None:
    name = path.name.lower()
    known = next((kind for suffixes, kind in _KINDS if name.endswith(suffixes)), None)
    return known or (dicom.Dicom if not path.suffix.strip(".0123456789") and _is_dicom(path) else None)


def _is_dicom(path: Path) -> bool:
    """Whether a file whose name does not say so has the preamble of DICOM."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
    return False


def _in_folder(folder: Path, output: Path, options: ReadOptions) -> tuple[list[tuple[Path, ImageFile]], Counter[str]]:
    """Images below a folder with their folder below it, and the endings of other files."""
    found: list[tuple[Path, ImageFile]] = []
    dicoms: list[Path] = []
    others: Counter[str] = Counter()
    outputs = output.resolve()
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        is_output = (folder.resolve() / below).is_relative_to(outputs)
        if is_output or not path.is_file() or any(part.startswith(".") for part in below.parts):
            continue
        kind = _kind(path)
        if path.name == FOLDS_FILE:
            others[path.name] += 1
        elif kind is dicom.Dicom:
            dicoms.append(path)
        elif kind is not None:
            found.append((below.parent, kind(path, options)))
        else:
            others[path.suffix or path.name] += 1
    found += _series(folder, dicoms, options)
    return sorted(found, key=lambda one: one[0] / one[1].stem), others


def _series(folder: Path, files: Iterable[Path], options: ReadOptions) -> Iterator[tuple[Path, ImageFile]]:
    """The DICOM files of one folder and series together, others one by one."""
    groups: dict[tuple[Path, str], list[Path]] = {}
    for path in files:
        try:
            uid = str(dicom.read_header(path).get("SeriesInstanceUID", ""))
        except UserError:
            uid = ""
        groups.setdefault((path.parent, uid or path.name), []).append(path)
    in_folder = Counter(parent for parent, _ in groups)
    for (parent, uid), members in groups.items():
        below = parent.relative_to(folder)
        if len(members) == 1:
            yield below, dicom.Dicom(members[0], options)
        elif in_folder[parent] == 1:
            stem = parent.name or folder.resolve().name
            yield below.parent, dicom.Dicom(parent, options, members, stem)
        else:
            yield below, dicom.Dicom(parent, options, members, f"series-{uid.rpartition('.')[2]}")


def _placed(found: Sequence[tuple[Path, ImageFile]], output: Path) -> list[Found]:
    """Give each image its name and outputs; images that differ only in their ending keep it in their names."""
    stems = Counter((folder, file.stem) for folder, file in found)
    placed: list[Found] = []
    taken: dict[Path, ImageFile] = {}
    for folder, file in found:
        alone = stems[folder, file.stem] == 1
        base = output / folder / (file.stem if alone else file.path.name.replace(".", "-"))
        if base in taken:
            raise UserError(
                f"{file.path}: writes the same files as {taken[base].path}; segment them into separate --output folders"
            )
        taken[base] = file
        placed.append(Found((folder / file.path.name).as_posix(), file, base))
    return placed
