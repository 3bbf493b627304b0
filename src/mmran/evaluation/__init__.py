"""Weights -> predictions.h5 -> cases.csv -> summary.json."""
