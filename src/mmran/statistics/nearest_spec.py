"""What the row `nearest-slice` is made by: tables compare it with what the results were made by."""

from mmran.config.tables import NEAREST
from mmran.files import canonical_json

THUMBNAIL_PX = 16


def specification() -> str:
    """The text of its specification, by which a table knows its results."""
    return canonical_json({"name": NEAREST, "thumbnail_px": THUMBNAIL_PX})
