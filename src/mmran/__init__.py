"""Segmentation and classification of brain tumors in MRI slices, as a reproducible pipeline and as a library.

    import mmran

    model = mmran.load("models/mmran")                     # a package of `mmran package`
    model.predict(image, spacing_mm=0.49).mask

    mmran.networks.build("mmran", attention="mram")        # any network, with random weights
    mmran.networks.MRAM(64)                                # the attention module, for a network of yours
    mmran.metrics, mmran.losses, mmran.schedules, mmran.statistics

Importing mmran imports none of them, and no torch: each comes with its first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmran import metrics, networks, statistics
    from mmran.inference.model import Model, load
    from mmran.training import losses, schedules

__version__ = "0.1.0"

__all__ = ["Model", "__version__", "load", "losses", "metrics", "networks", "schedules", "statistics"]

_PUBLIC = {
    "Model": ("mmran.inference.model", "Model"),
    "load": ("mmran.inference.model", "load"),
    "losses": ("mmran.training.losses", None),
    "metrics": ("mmran.metrics", None),
    "networks": ("mmran.networks", None),
    "schedules": ("mmran.training.schedules", None),
    "statistics": ("mmran.statistics", None),
}
"""Public name -> module, and the name in it; None for the module itself."""


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'mmran' has no attribute {name!r}")
    module, member = _PUBLIC[name]
    found = importlib.import_module(module)
    return found if member is None else getattr(found, member)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
