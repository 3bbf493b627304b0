"""Names of the channels of a data set's images, in order, as `data.channels` lists them; empty for gray images.

An image of one channel is (H, W), one of several is (C, H, W).
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from mmran.errors import UserError

NAME_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9_-]*"
"""Names become columns of tables such as `image_t1`, and ends of file names such as `case_t1.nii.gz`."""

COLORS: Final = ("red", "green", "blue")
"""Channels that are shown as color, and those of a color picture, whatever `data.channels` calls them."""

Number = TypeVar("Number", bound=np.generic)


def checked_channels(names: Sequence[str], where: str) -> tuple[str, ...]:
    """The names as a tuple.

    Args:
        names: in the order of the network's input.
        where: the option or key, for the message.

    Raises:
        UserError: a name is not usable, or there twice.
    """
    if wrong := [name for name in names if not re.fullmatch(NAME_PATTERN, name, re.ASCII)]:
        raise UserError(f"{where}: {wrong[0]!r} is no usable name; use letters, digits, - and _")
    if len(set(names)) < len(names):
        raise UserError(f"{where}: found {', '.join(names)}; expected different names")
    return tuple(names)


def several(channels: Sequence[str]) -> tuple[str, ...]:
    """The channels of images that have several; empty for one, which needs no name once it is read."""
    return tuple(channels) if len(channels) > 1 else ()


def channels_attribute(channels: Sequence[str]) -> dict[str, str]:
    """The HDF5 attribute that says the channels; absent for gray images."""
    return {"channels": json.dumps(list(channels))} if channels else {}


def read_channels(attributes: Any) -> tuple[str, ...]:
    """The channels that HDF5 attributes say."""
    return tuple(map(str, json.loads(attributes["channels"]))) if "channels" in attributes else ()


def channel_planes(image: NDArray[Number]) -> NDArray[Number]:
    """A view (C, H, W) of an image, (H, W) or (C, H, W)."""
    return image.reshape(-1, *image.shape[-2:])


def shown_planes(image: NDArray[Number], channels: Sequence[str]) -> NDArray[Number]:
    """What pictures show of an image: red, green, and blue together, (3, H, W), or the first channel, (1, H, W)."""
    return channel_planes(image)[: len(COLORS) if is_color(channels) else 1]


def is_color(channels: Sequence[str]) -> bool:
    """Whether the channels are named red, green, and blue."""
    return tuple(name.lower() for name in channels) == COLORS


def known_channels(channels: Sequence[str]) -> str:
    """Number and names in words: "3 channels (red, green, blue)", or "one channel"."""
    return f"{len(channels)} channels ({', '.join(channels)})" if channels else "one channel"
