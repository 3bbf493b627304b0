"""Segmentation and classification of brain tumors in MRI slices, as a reproducible pipeline and as a library.

    import mmran

    model = mmran.load("models/mmran")                     # a package of `mmran package`
    model.predict(image, spacing_mm=0.49).mask

    mmran.networks.build("mmran", attention="mram")        # any network, with random weights
    mmran.networks.MRAM(64)                                # the attention module, for your own network
    mmran.metrics, mmran.losses, mmran.schedules, mmran.statistics

`import mmran` loads none of them, nor torch: each loads on first use.
"""

from typing import TYPE_CHECKING

from mmran.lazy import lazy_names
from mmran.version import __version__ as __version__

if TYPE_CHECKING:
    from mmran import metrics as metrics
    from mmran import networks as networks
    from mmran import statistics as statistics
    from mmran.inference.model import Model as Model
    from mmran.inference.model import load as load
    from mmran.training import losses as losses
    from mmran.training import schedules as schedules

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "inference.model": ("Model", "load"),
        "metrics": (),
        "networks": (),
        "statistics": (),
        "training.losses": (),
        "training.schedules": (),
    },
)
