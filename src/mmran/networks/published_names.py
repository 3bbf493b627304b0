"""The layers of published encoders by the names that torchvision and timm give them. Imports no torch.

Each function maps a published layer to the layer of mmran's encoder, in the order of the forward pass, the first
convolution first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Names = dict[str, str]

DENSE_ENTRANCE = 4
"""Layers of mmran's DenseNet stages before the dense ones: of the stem, or of a transition."""


@dataclass(frozen=True)
class EncoderReport:
    """What an encoder took from a file of published weights.

    Attributes:
        loaded: number of tensors.
        missing: names that an encoder has and the file lacks; those tensors start at random.
        unused: names of the file that no encoder has, such as the classifier's.
        notes: what was changed to fit, one line each.
    """

    loaded: int
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def lines(self, path: str) -> list[str]:
        """What happened, for a log.

        Args:
            path: of the file.
        """
        said = [f"{path}: {self.loaded} tensors start the encoder", *self.notes]
        listed = (("lacks, so they start at random", self.missing), ("has that no encoder takes", self.unused))
        said += [f"names that the file {what}: {', '.join(names)}" for what, names in listed if names]
        return [f"encoder weights: {line}" for line in said]

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "EncoderReport":
        """Build from the plain mapping of `dataclasses.asdict`.

        Raises:
            ValueError: a field is missing, unknown or of the wrong type.
        """
        lists = [values.get(key) for key in ("missing", "unused", "notes")]
        names = [name for one in lists if isinstance(one, list | tuple) for name in one]
        if len(values) != 4 or not isinstance(values.get("loaded"), int) or not all(isinstance(n, str) for n in names):
            raise ValueError(f"{dict(values)} is not what an encoder takes from a file")
        return cls(values["loaded"], *(tuple(one or ()) for one in lists))


def resnet50(depths: Sequence[int]) -> Names:
    """`mmran.networks.resnet.ResNet50Features`, as torchvision names it.

    Args:
        depths: bottlenecks of each stage.
    """
    names = {"conv1": "stem.0", "bn1": "stem.1"}
    for stage, depth in enumerate(depths, start=1):
        for i in range(depth):
            theirs, ours = f"layer{stage}.{i}", f"stage{stage}.{i}"
            for k in range(3):
                names[f"{theirs}.conv{k + 1}"] = f"{ours}.body.{3 * k}"
                names[f"{theirs}.bn{k + 1}"] = f"{ours}.body.{3 * k + 1}"
        first = f"layer{stage}.0.downsample"
        names |= {f"{first}.{k}": f"stage{stage}.0.shortcut.{k}" for k in range(2)}
    return names


def densenet201(depths: Sequence[int]) -> Names:
    """`mmran.networks.he.DenseNet201Features`, as torchvision names it.

    Args:
        depths: dense layers of each block.
    """
    names = {"features.conv0": "stages.0.0", "features.norm0": "stages.0.1"}
    for block, depth in enumerate(depths, start=1):
        if block > 1:
            entrance = f"features.transition{block - 1}"
            names |= {f"{entrance}.norm": f"stages.{block - 1}.0", f"{entrance}.conv": f"stages.{block - 1}.2"}
        for i in range(depth):
            theirs, ours = (
                f"features.denseblock{block}.denselayer{i + 1}",
                f"stages.{block - 1}.{DENSE_ENTRANCE + i}.body",
            )
            inner = {"norm1": 0, "conv1": 2, "norm2": 3, "conv2": 5}
            names |= {f"{theirs}.{name}": f"{ours}.{k}" for name, k in inner.items()}
    return names


def vgg16(lengths: Sequence[int]) -> Names:
    """The encoder of `mmran.networks.chen.Chen`, as torchvision names it, with batch normalization or without.

    Args:
        lengths: layers of each stage, the pooling after it not counted.
    """
    names: Names = {}
    first = 0
    for stage, length in enumerate(lengths):
        names |= {f"features.{first + i}": f"encoder.{stage}.{i}" for i in range(length)}
        first += length + 1
    return names


def xception() -> Names:
    """`mmran.networks.xception.XceptionFeatures`, as timm names `legacy_xception`."""
    names = {"conv1": "stem.0", "bn1": "stem.1", "conv2": "stem.3", "bn2": "stem.4"}
    for block in range(1, 13):
        theirs = f"block{block}"
        ours, shortcut = (
            (f"stem.{5 + block}.body", f"stem.{5 + block}.shortcut") if block < 12 else ("body", "shortcut")
        )
        first = 0 if block == 1 else 1  # the first block has no ReLU before its first convolution
        for i in range(3 if 4 <= block <= 11 else 2):
            names |= {
                f"{theirs}.rep.{3 * i + first}.conv1": f"{ours}.{4 * i + 1}",
                f"{theirs}.rep.{3 * i + first}.pointwise": f"{ours}.{4 * i + 2}",
                f"{theirs}.rep.{3 * i + first + 1}": f"{ours}.{4 * i + 3}",
            }
        if not 4 <= block <= 11:
            names |= {f"{theirs}.skip": f"{shortcut}.0", f"{theirs}.skipbn": f"{shortcut}.1"}
    for k, at in ((3, 0), (4, 4)):
        names |= {f"conv{k}.conv1": f"exit.{at}", f"conv{k}.pointwise": f"exit.{at + 1}", f"bn{k}": f"exit.{at + 2}"}
    return names


def xception65() -> Names:
    """`mmran.networks.xception.Xception65`, as timm names `xception65`."""
    names: Names = {}
    for k in range(2):
        names |= {f"stem.{k}.conv": f"stem.{3 * k}", f"stem.{k}.bn": f"stem.{3 * k + 1}"}
    blocks = ["entry1", "entry2", "entry3", *(f"middle.{i}" for i in range(16)), "exit.0"]
    for block, ours in enumerate(blocks):
        for k, at in ((1, "widening.1"), (2, "widening.6"), (3, "last.1")):
            part, _, first = at.partition(".")
            names |= _separable(f"blocks.{block}.stack.conv{k}", f"{ours}.{part}", int(first), (0, 1, 2, 3))
        if ours.startswith(("entry", "exit")):
            theirs = f"blocks.{block}.shortcut"
            names |= {f"{theirs}.conv": f"{ours}.shortcut.0", f"{theirs}.bn": f"{ours}.shortcut.1"}
    for k in range(3):
        names |= _separable(f"blocks.20.stack.conv{k + 1}", "exit", 1 + 6 * k, (0, 1, 3, 4))
    return names


def _separable(theirs: str, ours: str, first: int, places: Sequence[int]) -> Names:
    layers = ("conv_dw", "bn_dw", "conv_pw", "bn_pw")
    return {f"{theirs}.{layer}": f"{ours}.{first + at}" for layer, at in zip(layers, places, strict=True)}
