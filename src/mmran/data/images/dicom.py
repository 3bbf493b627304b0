"""DICOM: one file, with one frame or many, or a series of files; masks as DICOM-SEG and as NIfTI."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmran.data.images.base import ImageFile, ImageSlice, ReadOptions, Spacing, require, suffixed, wrong_channels
from mmran.data.matlab import SliceError
from mmran.errors import UserError
from mmran.files import atomic_path
from mmran.version import __version__

SUFFIXES = (".dcm", ".dicom", ".ima")
GAP_TOLERANCE = 0.1
"""How far two gaps between slices may differ, as a share of the usual gap."""
_DECODERS = "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg, or decompress it with gdcmconv --raw"


class Dicom(ImageFile):
    """A DICOM file, or the files of one series in a folder.

    Args:
        path: the file, or the folder.
        options: how it is read.
        files: the files of the series; only the path if empty.
        stem: name of its outputs.
    """

    def __init__(self, path: Path, options: ReadOptions, files: Sequence[Path] = (), stem: str | None = None) -> None:
        super().__init__(path, options)
        self._files = list(files) or [path]
        self._stem = stem or path.stem

    @property
    def stem(self) -> str:
        """Name of its outputs."""
        return self._stem

    def open(self) -> int:
        """Read all headers and sort them by position."""
        if channels := self.options.channels:
            remedy = f"convert each series to NIfTI (dcm2niix), {self.stem}_{channels[0]}.nii.gz, ..."
            raise wrong_channels(self.path, "DICOM has one channel", channels, remedy)
        headers = [read_header(file) for file in self._files]
        for file, header in zip(self._files, headers, strict=True):
            _refuse_unusable(file, header)
        self._headers = headers
        if len(headers) > 1:
            self._sort()
            return len(headers)
        return int(headers[0].get("NumberOfFrames", 1) or 1)

    def _sort(self) -> None:
        """Order the files along the normal of their planes; refuse mixed sizes, gaps and slices at one place."""
        sizes = {(int(one.Rows), int(one.Columns)) for one in self._headers}
        if len(sizes) > 1:
            found = ", ".join(f"{rows} x {columns}" for rows, columns in sorted(sizes))
            raise SliceError(str(self.path), f"its series mixes sizes ({found}); move one of them to another folder")
        places = [_position(one) for one in self._headers]
        if any(place is None for place in places):
            self.notes.append("slices have no position: sorted by instance number")
            order = sorted(range(len(places)), key=lambda i: int(self._headers[i].get("InstanceNumber", 0) or 0))
        else:
            normal = _normal(self._headers[0])
            along = [float(np.dot(normal, place)) for place in places if place is not None]
            order = sorted(range(len(along)), key=lambda i: along[i])
            self._refuse_gaps([along[i] for i in order])
        self._files = [self._files[i] for i in order]
        self._headers = [self._headers[i] for i in order]

    def _refuse_gaps(self, along: list[float]) -> None:
        gaps = np.diff(along)
        usual = float(np.median(gaps))
        if usual <= 0 or (gaps < GAP_TOLERANCE * usual).any():
            i = int(np.argmin(gaps))
            raise SliceError(
                str(self.path), f"has two slices at {along[i]:.4g} mm; move one of the acquisitions to another folder"
            )
        wide = np.flatnonzero(gaps > (1 + GAP_TOLERANCE) * usual)
        if len(wide):
            i = int(wide[0])
            raise SliceError(
                str(self.path),
                f"slices are missing between {along[i]:.4g} and {along[i + 1]:.4g} mm, expected one every "
                f"{usual:.4g} mm; add them, or give the files one by one",
            )

    def read(self, i: int) -> ImageSlice:
        """Decode one slice, rescaled; where the file stores inverted values, dark stays dark."""
        file, frame = (self._files[i], 0) if len(self._files) > 1 else (self._files[0], i)
        pydicom = require("pydicom", f"{file}: DICOM")
        try:
            pixels = pydicom.dcmread(file).pixel_array if len(self._files) > 1 else self._frames[frame]
        except UserError:
            raise
        except Exception as error:  # pydicom's decoders raise whatever the libraries behind them raise
            raise _undecoded(file, self._headers[i if len(self._files) > 1 else 0], error) from error
        if pixels.ndim != 2:
            raise SliceError(
                str(file), f"has pixels of shape {pixels.shape}, expected rows x columns; is it a color image?"
            )
        header = self._headers[i if len(self._files) > 1 else 0]
        pixels = _rescaled(pixels, _functional(header, frame, "PixelValueTransformationSequence") or header)
        if header.get("PhotometricInterpretation") == "MONOCHROME1":
            pixels = pixels.max() + pixels.min() - pixels
        return ImageSlice(pixels, self._spacing(header, frame))

    @cached_property
    def _frames(self) -> NDArray[Any]:
        """(frames, rows, columns) of the only file."""
        import pydicom

        pixels = pydicom.dcmread(self._files[0]).pixel_array
        return pixels if pixels.ndim > 2 and int(self._headers[0].get("NumberOfFrames", 1) or 1) > 1 else pixels[None]

    def _spacing(self, header: Any, frame: int) -> Spacing | None:
        measures = _functional(header, frame, "PixelMeasuresSequence") or header
        spacing = measures.get("PixelSpacing") or header.get("ImagerPixelSpacing")
        return (float(spacing[0]), float(spacing[1])) if spacing else self.options.default_spacing

    def mask_paths(self, base: Path) -> tuple[Path, ...]:
        """A DICOM-SEG and a NIfTI."""
        return suffixed(base, "_seg.dcm"), suffixed(base, "_mask.nii.gz")

    def write_masks(self, masks: Sequence[NDArray[np.bool_]], base: Path) -> None:
        """Write both; the DICOM-SEG refers to the slices and lies in their frame of reference."""
        seg, nifti = self.mask_paths(base)
        self._write_nifti(masks, nifti)
        self._write_seg(np.stack(masks), seg)

    def _write_nifti(self, masks: Sequence[NDArray[np.bool_]], path: Path) -> None:
        nibabel = require("nibabel", f"{path}: NIfTI")
        from mmran.data.images.nifti import save_nifti

        # NIfTI stores columns first: (columns, rows, slices), in a frame whose first two axes point the other way.
        volume = np.stack([mask.T for mask in masks], axis=2).astype(np.uint8)
        image = nibabel.Nifti1Image(volume, self.affine())
        image.header.set_xyzt_units("mm")
        save_nifti(image, path)

    def affine(self) -> NDArray[np.float64]:
        """From (column, row, slice) to millimeters, right, anterior and superior; the identity's scale if unknown."""
        first, last, n = self._headers[0], self._headers[-1], len(self._headers)
        spacing = self._spacing(first, 0) or (1.0, 1.0)
        orientation = _orientation(first)
        place, end = _position(first), _position(last)
        if n == 1:
            frames = int(first.get("NumberOfFrames", 1) or 1)
            end = _position(first, frames - 1)
            n = frames
        step = float(first.get("SpacingBetweenSlices") or first.get("SliceThickness") or 1)
        along = _normal(first) * step
        if n > 1 and place is not None and end is not None and not np.array_equal(place, end):
            along = (end - place) / (n - 1)
        affine = np.eye(4)
        affine[:3, 0] = orientation[:3] * spacing[1]
        affine[:3, 1] = orientation[3:] * spacing[0]
        affine[:3, 2] = along
        affine[:3, 3] = 0 if place is None else place
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine

    def _write_seg(self, masks: NDArray[np.bool_], path: Path) -> None:
        highdicom = require("highdicom", f"{path}: DICOM-SEG")
        import pydicom
        from pydicom.uid import generate_uid

        sources = [pydicom.dcmread(file) for file in self._files]
        # The same input and mask get the same identifiers.
        entropy = [str(sources[0].SOPInstanceUID), masks.tobytes().hex()[:64], __version__]
        try:
            dataset = highdicom.seg.Segmentation(
                source_images=sources,
                pixel_array=masks,
                segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
                segment_descriptions=[_tumor_segment(highdicom)],
                series_instance_uid=generate_uid(entropy_srcs=[*entropy, "series"]),
                series_number=1000,
                sop_instance_uid=generate_uid(entropy_srcs=[*entropy, "instance"]),
                instance_number=1,
                manufacturer="mmran",
                manufacturer_model_name="mmran segment",
                software_versions=__version__,
                device_serial_number="0",
                omit_empty_frames=bool(masks.any()),
            )
        except (AttributeError, ValueError, TypeError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise SliceError(
                str(self.path), f"no DICOM-SEG can refer to it ({reason}); its mask is written only as NIfTI"
            ) from error
        with atomic_path(path) as temporary:
            dataset.save_as(temporary)

    def close(self) -> None:
        """Release the frames."""
        self.__dict__.pop("_frames", None)


def read_header(file: Path) -> Any:
    """The data set of a file without its pixels.

    Raises:
        SliceError: it is not DICOM.
    """
    pydicom = require("pydicom", f"{file}: DICOM")
    try:
        return pydicom.dcmread(file, stop_before_pixels=True)
    except OSError as error:
        raise SliceError(str(file), f"cannot be read ({error.strerror or error})") from error
    except Exception as error:  # damaged data sets raise all kinds of exceptions
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SliceError(str(file), f"cannot be read as DICOM ({reason}); export it again") from error


def _refuse_unusable(file: Path, header: Any) -> None:
    if "Rows" not in header or "Columns" not in header:
        what = header.get("Modality", "no modality")
        raise SliceError(str(file), f"is a DICOM object without an image ({what}); leave it out")
    kind = header.get("PhotometricInterpretation", "MONOCHROME2")
    if kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise SliceError(str(file), f"is a color image ({kind}), expected gray values; export the original series")


def _undecoded(file: Path, header: Any, error: Exception) -> SliceError:
    syntax = getattr(getattr(header, "file_meta", None), "TransferSyntaxUID", None)
    if syntax is not None and syntax.is_compressed:
        return SliceError(str(file), f"is compressed ({syntax.name}), and no decoder could read it; {_DECODERS}")
    reason = " ".join(str(error).split())[:200]
    return SliceError(str(file), f"its pixels cannot be read ({reason}); export it again")


def _functional(header: Any, frame: int, name: str) -> Any:
    """The macro of a multi-frame file that holds for a frame; None where there is none."""
    for groups, i in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        if (sequence := header.get(groups)) and i < len(sequence) and (found := sequence[i].get(name)):
            return found[0]
    return None


def _rescaled(pixels: NDArray[Any], source: Any) -> NDArray[Any]:
    slope, intercept = float(source.get("RescaleSlope", 1) or 1), float(source.get("RescaleIntercept", 0) or 0)
    return pixels if (slope, intercept) == (1, 0) else pixels * np.float64(slope) + np.float64(intercept)


def _orientation(header: Any) -> NDArray[np.float64]:
    """Directions of a row and of a column, six numbers; those of an axial slice if the file does not say."""
    plane = _functional(header, 0, "PlaneOrientationSequence") or header
    found = plane.get("ImageOrientationPatient")
    return np.array([1, 0, 0, 0, 1, 0] if not found else [float(value) for value in found])


def _normal(header: Any) -> NDArray[np.float64]:
    orientation = _orientation(header)
    return np.cross(orientation[:3], orientation[3:])


def _position(header: Any, frame: int = 0) -> NDArray[np.float64] | None:
    plane = _functional(header, frame, "PlanePositionSequence") or header
    found = plane.get("ImagePositionPatient")
    return np.array([float(value) for value in found]) if found else None


def _tumor_segment(highdicom: Any) -> Any:
    from pydicom.sr.codedict import codes

    return highdicom.seg.SegmentDescription(
        segment_number=1,
        segment_label="tumor",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name="mmran", version=__version__, family=codes.DCM.ArtificialIntelligence
        ),
    )
