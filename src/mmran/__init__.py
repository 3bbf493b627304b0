"""Segmentation and classification of brain tumours in MRI slices, as a reproducible pipeline."""

__version__ = "0.1.0"
