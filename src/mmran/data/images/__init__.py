"""Image files of other tools: pictures, cjdata, NIfTI and DICOM, each read as slices and written as masks."""
