"""The values that tests train with: the defaults of config.yaml, and what a test changes of them."""

from typing import Any

from mmran.config.load import PAPER, load
from mmran.data.augmentation import Augmentation

DEFAULTS: dict[str, dict[str, Any]] = load([PAPER])["defaults"]


def paper_augmentation(**changes: Any) -> Augmentation:
    return Augmentation(**DEFAULTS["augmentation"] | changes)
