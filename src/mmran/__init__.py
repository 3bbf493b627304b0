"""Segmentation and classification of brain tumors in MRI slices, as a reproducible pipeline."""

__version__ = "0.1.0"
