"""Transforms of a training batch from outside the package, which follow the paper's."""

from collections.abc import Callable, Mapping

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from mmran.data import counters
from mmran.errors import UserError, reason

Transform = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""(images, masks, generator) -> (images, masks), float32 on one device: (B, C, S, S), and (B, 1, S, S) of 0 and 1."""

_CHECKED_SLICES = 2


def apply_transforms(
    images: Tensor, masks: Tensor, numbers: ArrayLike, seed: int, epoch: int, transforms: Mapping[str, Transform]
) -> tuple[Tensor, Tensor]:
    """Apply transforms one after another.

    Their generator follows from seed, epoch, and the batch's first slice, which is in no other batch of the epoch.

    Args:
        images: (B, C, S, S) float32.
        masks: (B, 1, S, S) float32 of 0 and 1.
        numbers: (B,) integer slice numbers, on the host.
        seed: the trial's seed.
        epoch: the epoch from zero.
        transforms: name -> transform, in order.

    Raises:
        UserError: a transform returns other shapes, types, or devices.
    """
    if not transforms:
        return images, masks
    key = int(counters.stream_keys(seed, epoch, numbers, counters.OUTSIDE)[0] >> 1)
    generator = torch.Generator(images.device).manual_seed(key)
    for name, transform in transforms.items():
        images, masks = _checked(name, transform(images, masks, generator), images, masks)
    return images, masks


def try_transforms(size: int, transforms: Mapping[str, Transform], channels: int = 1) -> None:
    """Apply transforms to a small random batch, so that a mistake shows before the training.

    Args:
        size: S in pixels.
        transforms: name -> transform, in order.
        channels: C, of the images.

    Raises:
        UserError: one fails, or returns other shapes, types, devices, or values than a batch has.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((_CHECKED_SLICES, channels, size, size), generator=generator)
    masks = (torch.rand((_CHECKED_SLICES, 1, size, size), generator=generator) < 0.5).to(torch.float32)
    for name, transform in transforms.items():
        try:
            found = transform(images.clone(), masks.clone(), torch.Generator().manual_seed(0))
        except Exception as error:
            # Code from outside may fail in any way.
            raise UserError(f"{_place(name)} fails on a batch of {tuple(images.shape)} ({reason(error)})") from error
        images, masks = _checked(name, found, images, masks)
        if not torch.isfinite(images).all():
            raise UserError(f"{_place(name)} returns images that are not finite")
        if not torch.isin(masks, torch.tensor([0.0, 1.0])).all():
            raise UserError(f"{_place(name)} returns masks with values between 0 and 1; move them at the nearest pixel")


def _checked(name: str, found: object, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """What a transform returned, if it has the form of a batch; reads no value, which would sync the device."""
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise UserError(f"{_place(name)} returns a {type(found).__name__}, expected a pair (images, masks)")
    for kind, value, given in zip(("images", "masks"), found, (images, masks), strict=True):
        if not isinstance(value, Tensor):
            raise UserError(f"{_place(name)} returns {kind} as a {type(value).__name__}, expected a tensor")
        if (value.shape, value.dtype, value.device) != (given.shape, torch.float32, given.device):
            raise UserError(
                f"{_place(name)} returns {kind} of {tuple(value.shape)} {value.dtype} on {value.device}, expected "
                f"{tuple(given.shape)} torch.float32 on {given.device}"
            )
    return found[0], found[1]


def _place(name: str) -> str:
    return f"augmentation.extra: {name}"
