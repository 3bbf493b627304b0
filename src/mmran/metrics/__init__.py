"""Metrics as pure functions: arrays in, numbers out, units in the names."""
