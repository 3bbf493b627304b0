"""What every network is and returns, whatever its tasks."""

from typing import ClassVar, NamedTuple

from torch import Tensor, nn

N_CLASSES = 3
"""Tumor classes of the data set: meningioma, glioma, pituitary."""


class NetworkOutput(NamedTuple):
    """The output of one forward pass; a task that the network does not have is None.

    Attributes:
        mask_logits: (B, 1, H, W), tumor against background; a pixel is tumor where its logit is >= 0.
        class_logits: (B, 3), meningioma, glioma, pituitary.
        auxiliary: class heads, each (B, 3), that are trained in place of `class_logits`, which they make up.
    """

    mask_logits: Tensor | None = None
    class_logits: Tensor | None = None
    auxiliary: tuple[Tensor, ...] = ()


class Network(nn.Module):
    """What the training loop may rely on; a network of one's own may also just have these attributes.

    Attributes:
        stride: height and width of its images must be divisible by it.
        tasks: some of "segmentation" and "classification".
        recipe: "module:Class" of the `Recipe` that trains it, `mmran.training.multitask:Multitask` for most.

    A network that segments can also have a method `start_masks(logit)`, which makes the untrained mask logits start
    near a value. Without it, masks start as torch draws them, whatever `network.mask_prior` says.
    """

    stride: ClassVar[int]
    tasks: ClassVar[tuple[str, ...]]
    recipe: ClassVar[str]

    def __call__(self, images: Tensor) -> NetworkOutput:
        """Images (B, 1, H, W) to masks and classes."""
        output: NetworkOutput = super().__call__(images)
        return output
