"""Synthetic patients in the published layout."""
