"""Facts about the published data set.

Source: Cheng et al. 2015, PLoS ONE 10(10):e0140381, doi 10.6084/m9.figshare.1512427.
"""

from typing import Final

CLASSES: Final = ("meningioma", "glioma", "pituitary")
"""Its classes in the order of their labels: files say 1, 2, 3 and tensors 0, 1, 2."""

COUNTS: Final = {"slices": 3064, "meningioma": 708, "glioma": 1426, "pituitary": 930, "patients": 233}
"""Slices, slices of each class, and patients (PIDs)."""

N_FOLDS: Final = 5
"""Number of folds in `cvind.mat`."""

FIELD_OF_VIEW_MM: Final = 250.88
"""Side of the imaged square: 512 pixels of 0.49 mm."""
