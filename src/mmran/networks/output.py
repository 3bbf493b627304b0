"""What every network is and returns, whatever its tasks."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from torch import Tensor, nn


class NetworkOutput(NamedTuple):
    """The output of one forward pass; a task that the network does not have is None.

    Attributes:
        mask_logits: (B, 1, H, W), tumor against background; a pixel is tumor where its logit is >= 0.
        class_logits: (B, K), the classes in the order of their labels.
        auxiliary: class heads, (B, K) each; the loss takes them instead of `class_logits`, which is their mean.
    """

    mask_logits: Tensor | None = None
    class_logits: Tensor | None = None
    auxiliary: tuple[Tensor, ...] = ()

    def only(self, tasks: Sequence[str]) -> "NetworkOutput":
        """The output without the tasks that are not among these."""
        masks = self.mask_logits if "segmentation" in tasks else None
        return self._replace(mask_logits=masks) if "classification" in tasks else NetworkOutput(masks)


class Network(nn.Module):
    """What the training loop expects of a network.

    A network from outside the package needs these attributes, not this base class. A network that segments can also
    have a method `start_masks(logit)`, which makes the untrained mask logits start near a value. Without it, masks
    start as torch initializes them, whatever `network.mask_prior` says.

    Attributes:
        stride: height and width of the images must be multiples of it.
        tasks: some of "segmentation" and "classification".
        inseparable: whether it cannot learn one of its tasks alone, from data that lack the other; False if absent.
        recipe: "module:Class" of the `Recipe` that trains it; `mmran.training.multitask:Multitask` trains most.
        channels: C, channels of the images; one if the constructor sets no other.
    """

    stride: ClassVar[int]
    tasks: ClassVar[tuple[str, ...]]
    recipe: ClassVar[str]
    channels: int = 1

    def __call__(self, images: Tensor) -> NetworkOutput:
        """Check the images and run the forward pass.

        Args:
            images: (B, C, H, W), 0..1.

        Raises:
            ValueError: another shape, or `stride` does not divide H and W.
        """
        check_images(images, self.stride, self.channels)
        output: NetworkOutput = super().__call__(images)
        return output


def check_images(images: Tensor, stride: int, channels: int = 1) -> None:
    """Refuse images that a network cannot halve and double without a remainder.

    Args:
        images: (B, C, H, W).
        stride: H and W must be multiples of it.
        channels: C.

    Raises:
        ValueError: another number of dimensions or channels, or `stride` does not divide the size.
    """
    if images.ndim != 4 or images.shape[1] != channels:
        raise ValueError(f"images of shape {tuple(images.shape)}: expected (batch, {channels}, height, width)")
    height, width = images.shape[-2:]
    if height % stride or width % stride:
        raise ValueError(
            f"images of {height} x {width} pixels: both must be divisible by the network's stride of "
            f"{stride}; pad them to the next multiple and crop the mask"
        )
