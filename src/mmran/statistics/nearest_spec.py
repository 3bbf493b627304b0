"""How the row `nearest-slice` is made; tables compare it with the specification of the results."""

from mmran.config.tables import NEAREST
from mmran.files import canonical_json

THUMBNAIL_PX = 16


def specification() -> str:
    """The text of its specification, by which a table recognizes its results."""
    return canonical_json({"name": NEAREST, "thumbnail_px": THUMBNAIL_PX})
