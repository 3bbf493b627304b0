"""Keeps slices on the device as stored bytes, and makes the batches of an epoch there.

    slice store  ->  ResidentSlices (once)  ->  order of the epoch  ->  normalized  ->  augmented  ->  Batch

Between two training steps nothing is read, copied to the device, or synchronized.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmran.data import counters
from mmran.data.augment import augment
from mmran.data.augmentation import Augmentation
from mmran.data.channels import channel_planes
from mmran.data.geometry import fit_image, fit_mask
from mmran.data.store import SliceStore
from mmran.data.transforms import Transform, apply_transforms
from mmran.errors import UserError

# Types that torch indexes and converts on every device; any other becomes float32.
_RESIDENT_TYPES: Final = {"u1": np.uint8, "i2": np.int16, "u2": np.int32, "i4": np.int32}


class Batch(NamedTuple):
    """One batch of training data.

    Attributes:
        images: (B, C, S, S) float32, 0 to 1 before augmentation adds noise; C is 1 for gray images.
        masks: (B, 1, S, S) float32 of 0 and 1.
        labels: (B,) int64, 0..K-1.
    """

    images: Tensor
    masks: Tensor
    labels: Tensor


@dataclass(frozen=True)
class ResidentSlices:
    """N slices at the network's size, on the device except for their numbers.

    Attributes:
        images: (N, C, S, S) in the stored type, or the next wider one that torch computes with.
        masks: (N, S, S) uint8 of 0 and 1.
        labels: (N,) int64, 0..K-1.
        numbers: (N,) int64 slice numbers, on the host, where counters are computed.
        low: (N, C) float32, the intensity of each channel that becomes 0.
        high: (N, C) float32, the intensity that becomes 1.
    """

    images: Tensor
    masks: Tensor
    labels: Tensor
    numbers: Tensor
    low: Tensor
    high: Tensor

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def load(
        cls,
        store: SliceStore,
        numbers: Sequence[int] | NDArray[np.integer[Any]],
        size: int,
        fit: str,
        percentiles: tuple[float, float],
        device: torch.device | str,
    ) -> "ResidentSlices":
        """Read and check slices once, fit them to the network's size, and copy them to the device.

        Args:
            store: an open slice store.
            numbers: slice numbers; the slices keep this order.
            size: S, the network's side in pixels.
            fit: "pad" or "resample", see `geometry`.
            percentiles: percentiles of each channel of the native slice that become 0 and 1, such as (1, 99).
            device: device that holds the slices.

        Raises:
            UserError: no slice, a slice that the store lacks or that changed after conversion, a bad percentile, or
                a slice that does not fit.
        """
        numbers = np.array(numbers, dtype=np.int64)
        labels = _labels(store.index, numbers)
        if not 0 <= percentiles[0] < percentiles[1] <= 100:
            raise UserError(
                f"input.percentiles: {list(percentiles)} must be two of 0 <= low < high <= 100, such as [1, 99]"
            )
        resident_type = _RESIDENT_TYPES.get(store.image_type.str[1:], np.float32)
        n_channels = len(store.channels) or 1
        images = np.empty((len(numbers), n_channels, size, size), dtype=resident_type)
        masks = np.empty((len(numbers), size, size), dtype=np.uint8)
        limits = np.empty((2, len(numbers), n_channels), dtype=np.float32)
        for row, number in enumerate(numbers.tolist()):
            image, mask = store.read(number)
            for channel, plane in enumerate(channel_planes(image)):
                limits[:, row, channel] = intensity_percentiles(plane, percentiles)
                # The darkest intensity is never above `low`, so padding becomes 0 whatever the scale's zero is.
                images[row, channel] = fit_image(plane, size, fit, fill=plane.min())
            masks[row] = fit_mask(mask, size, fit)
        low, high = torch.from_numpy(limits).to(device)
        return cls(
            images=torch.from_numpy(images).to(device),
            masks=torch.from_numpy(masks).to(device),
            labels=torch.from_numpy(labels).to(device),
            numbers=torch.from_numpy(numbers),
            low=low,
            high=high,
        )

    def gather(self, positions: Tensor) -> Batch:
        """A batch without augmentation.

        Args:
            positions: (B,) int64 rows of the slices, on their device.
        """
        low, high = self.low[positions, :, None, None], self.high[positions, :, None, None]
        images = normalize_(self.images.index_select(0, positions).to(torch.float32), low, high)
        masks = self.masks.index_select(0, positions).to(torch.float32)
        return Batch(images, masks[:, None], self.labels[positions])


def normalize_(images: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Scale intensities in place so that `low` becomes 0 and `high` 1, and clip the others.

    Where both are equal, brighter pixels become 1 and the others 0; none becomes NaN.

    Args:
        images: (B, C, S, S) float32.
        low: (B, C, 1, 1) float32, becomes 0.
        high: (B, C, 1, 1) float32, becomes 1.
    """
    return images.sub_(low).div_((high - low).clamp_min(torch.finfo(torch.float32).tiny)).clamp_(0, 1)


def epoch_order(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of an epoch: a permutation that depends only on the arguments.

    Args:
        n: number of slices.
        seed: the trial's seed.
        epoch: the epoch from zero.

    Returns:
        (n,) int64, a permutation of 0..n-1.
    """
    keys = counters.stream_keys(seed, epoch, np.arange(n), counters.ORDER)
    return np.argsort(keys, kind="stable").astype(np.int64)


def iterate(
    slices: ResidentSlices,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    augmentation: Augmentation | None,
    shuffle: bool,
    merge_single: bool = False,
    transforms: Mapping[str, Transform] | None = None,
) -> Iterator[Batch]:
    """The batches of one epoch.

    Args:
        slices: the slices on the device.
        batch_size: slices per batch; the last batch may be smaller.
        seed: the trial's seed.
        epoch: the epoch from zero.
        augmentation: transforms to draw, or None for none.
        shuffle: whether to draw an order for the epoch instead of keeping that of `slices`.
        merge_single: whether a last batch of one slice joins the batch before it, as training needs it: batch norm
            has no variance of a single value.
        transforms: name -> transform from outside, applied after `augmentation`.

    Raises:
        UserError: a batch size below one.
    """
    if batch_size < 1:
        raise UserError(f"training.batch_size: {batch_size} is not a positive number")
    order = epoch_order(len(slices), seed, epoch) if shuffle else np.arange(len(slices))
    # Copied once an epoch: slicing a batch from it copies nothing to the device.
    positions = torch.from_numpy(order).to(slices.images.device)
    numbers = slices.numbers.numpy()[order]
    starts = list(range(0, len(slices), batch_size))
    if merge_single and len(starts) > 1 and batch_size > 1 and len(slices) % batch_size == 1:
        starts.pop()
    for start, end in zip(starts, [*starts[1:], len(slices)], strict=True):
        part = slice(start, end)
        batch = slices.gather(positions[part])
        if augmentation is not None:
            augment(batch.images, batch.masks, numbers[part], seed, epoch, augmentation)
            moved = apply_transforms(batch.images, batch.masks, numbers[part], seed, epoch, transforms or {})
            batch = Batch(*moved, batch.labels)
        yield batch


def intensity_percentiles(image: NDArray[Any], percentiles: Sequence[float]) -> list[float]:
    """Exact percentiles of an image, with numpy's linear interpolation between the two nearest ranks.

    Args:
        image: (H, W). Integers are counted, not sorted, in a third of the time.
        percentiles: each in 0..100.
    """
    if not np.issubdtype(image.dtype, np.integer) or image.dtype.itemsize > 2:
        return [float(value) for value in np.percentile(image, percentiles)]
    darkest = int(image.min())
    above_darkest = torch.from_numpy(image.ravel().astype(np.int32) - darkest)
    ranks = np.cumsum(torch.bincount(above_darkest).numpy())
    values = []
    for percentile in percentiles:
        rank, share = divmod(percentile / 100 * (image.size - 1), 1)
        # The value of rank r (from zero) is the first whose cumulative count exceeds r.
        lower, upper = np.searchsorted(ranks, [rank, min(rank + 1, image.size - 1)], side="right")
        values.append(float(darkest + lower + (upper - lower) * share))
    return values


def _labels(index: pd.DataFrame, numbers: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Classes of the slices, from 0."""
    if not len(numbers):
        raise UserError("no slices to load; check the split and the role")
    missing = np.setdiff1d(numbers, index["slice"])
    if len(missing):
        raise UserError(
            f"slice {missing[0]} ({len(missing)} in all) is in the split but not in the slice store; "
            "make the split from this store's index.csv"
        )
    labels = index.set_index("slice")["label"].loc[numbers.tolist()]
    return labels.to_numpy(dtype=np.int64) - 1
