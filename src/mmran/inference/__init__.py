"""Trained models for other people's images: packages, segmentation of image files, export."""
