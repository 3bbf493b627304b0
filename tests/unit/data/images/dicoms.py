"""DICOM series as a scanner writes them, made with pydicom."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

SPACING = [0.9, 0.8]
"""Between rows and between columns."""


def write_series(folder: Path, images: list[NDArray[Any]], *, step_mm: float = 5.0, **changes: Any) -> list[Path]:
    """Write one axial file per image, from below; returns their paths, whose names sort the other way.

    Args:
        folder: where to write.
        images: (rows, columns) each.
        step_mm: between two slices.
        **changes: attributes of all files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    paths = []
    for i, image in enumerate(images):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = MRImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"{len(images) - i:03d}.dcm"
        data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, frame
        data.PatientID, data.PatientName, data.PatientBirthDate, data.PatientSex = "P1", "Test^Test", "", ""
        data.StudyID, data.StudyDate, data.StudyTime, data.AccessionNumber = "1", "20200101", "000000", ""
        data.ReferringPhysicianName, data.Modality, data.SeriesNumber, data.InstanceNumber = "", "MR", 3, i + 1
        data.Rows, data.Columns = image.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
        data.PixelRepresentation = 0
        data.PixelSpacing, data.SliceThickness = SPACING, step_mm
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.ImagePositionPatient = [-10.0, -20.0, 30.0 + step_mm * i]
        for name, value in changes.items():
            setattr(data, name, value)
        data.PixelData = np.ascontiguousarray(image, dtype="<u2").tobytes()
        data.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def edit(path: Path, **changes: Any) -> None:
    """Set attributes of a file."""
    data = pydicom.dcmread(path)
    for name, value in changes.items():
        setattr(data, name, value)
    data.save_as(path)
