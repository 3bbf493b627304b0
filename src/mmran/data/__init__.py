"""Slices: read, stored, split, and moved to the device in batches."""
