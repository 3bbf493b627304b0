"""The tumor probability that the masks of an untrained network start at."""

import torch

from mmran.config.experiment import NetworkSpec
from mmran.data.batches import ResidentSlices
from mmran.data.tasks import SEGMENTATION
from mmran.errors import UserError
from mmran.networks import starts_masks


def choose_mask_prior(spec: NetworkSpec, training: ResidentSlices) -> float | None:
    """The tumor probability that untrained masks start at, None for torch's own start.

    `mask_prior: data` means the share of tumor pixels in the training slices, at the network's size.

    Raises:
        UserError: the training slices have no tumor pixels, or only tumor pixels.
    """
    asked = spec.mask_prior
    lacks_masks = spec.tasks is not None and SEGMENTATION not in spec.tasks
    if asked is None or lacks_masks or not starts_masks(spec.name):
        return None
    if not isinstance(asked, str):
        return float(asked)
    tumor, pixels = int(training.masks.sum(dtype=torch.int64)), training.masks.numel()
    if not 0 < tumor < pixels:
        raise UserError(
            f"network.mask_prior: {asked}: {tumor} of the training slices' {pixels} pixels are tumor; expected some, "
            "not all; check the masks, or set a number such as 0.02, or null"
        )
    return tumor / pixels
