"""Slices: read, kept, split, and brought to the device in batches."""
