"""Start the encoder of a network from published weights, such as those for ImageNet."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmran.errors import UserError
from mmran.networks import published_names
from mmran.networks.published_names import EncoderReport, Names

# By name: the training loop imports this module, and an edit of one network must not rerun the trainings of all.
_ENCODERS: dict[str, tuple[str, Callable[[Any], Names]]] = {
    "mmran.networks.resnet.ResNet50Features": (
        "ResNet-50",
        lambda it: published_names.resnet50([len(stage) for stage in (it.stage1, it.stage2, it.stage3, it.stage4)]),
    ),
    "mmran.networks.he.DenseNet201Features": (
        "DenseNet-201",
        lambda it: published_names.densenet201([len(stage) - published_names.DENSE_ENTRANCE for stage in it.stages]),
    ),
    "mmran.networks.chen.Chen": ("VGG-16", lambda it: published_names.vgg16([len(stage) for stage in it.encoder])),
    "mmran.networks.xception.XceptionFeatures": ("Xception", lambda _: published_names.xception()),
    "mmran.networks.xception.Xception65": ("Xception-65", lambda _: published_names.xception65()),
}
"""Class -> name of the published network, and its layers."""

_COUNTER = ".num_batches_tracked"

# Checkpoints of torchvision from before 2018 have a dot here, which its own loader removes.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d\.)")

_REMEDY = "expected safetensors, or what torch.save(model.state_dict(), FILE) writes"


def load_encoder(network: nn.Module, path: Path | str) -> EncoderReport:
    """Copy the tensors of a file into the encoders of a network, whose other weights stay.

    The first convolution of an encoder that takes one gray channel gets the sum over the file's input channels, which
    is what the published one makes of a gray image. Where the images have several channels and the file another
    number, each gets its share of that sum, so that equal channels make what a gray image makes. A convolution whose
    bias the file lacks gets a bias of 0.

    Args:
        network: with an encoder that is a published one; on the meta device, the file is only checked.
        path: safetensors, or a state dict of torch.

    Raises:
        UserError: the network has no such encoder, the file cannot be read, none of its names fits, or a tensor has
            another shape or values that are not finite.
    """
    encoders = [_Encoder.of(name, module) for name, module in network.named_modules() if _class(module) in _ENCODERS]
    if not encoders:
        known = ", ".join(sorted({kind for kind, _ in _ENCODERS.values()}))
        raise _error(path, f"{type(network).__name__} has no encoder that is one of {known}; set encoder_weights: null")
    tensors = read_tensors(path)
    fitting = [encoder for encoder in encoders if encoder.prefix(tensors) is not None]
    if not fitting:
        kinds, ours = " or ".join(dict.fromkeys(one.kind for one in encoders)), next(iter(encoders[0].keys()))
        raise _error(
            path,
            f"none of its {len(tensors)} names, such as {next(iter(tensors))!r}, is one of {kinds}; expected such as "
            f"{ours!r}, as torchvision (Xception: timm) writes them",
        )
    state = network.state_dict()
    channels = getattr(network, "channels", 1)
    reports = [encoder.load(state, tensors, path, channels) for encoder in fitting]
    notes = [note for report in reports for note in report.notes]
    notes += [f"{one.place} ({one.kind}) starts at random: no name fits" for one in encoders if one not in fitting]
    return EncoderReport(
        loaded=sum(report.loaded for report in reports),
        missing=tuple(dict.fromkeys(name for report in reports for name in report.missing)),
        unused=tuple(sorted(set.intersection(*(set(report.unused) for report in reports)))),
        notes=tuple(dict.fromkeys(notes)),
    )


def read_tensors(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU; executes no code from the file.

    Raises:
        UserError: it cannot be read, or holds no tensors.
    """
    path = Path(path)
    try:
        found = _content(path)
    except OSError as error:
        raise _error(path, f"cannot be read ({error.strerror or error}); {_REMEDY}") from error
    except Exception as error:
        # torch, pickle, and safetensors raise errors of many types for a file that is none of theirs.
        reason = str(error).strip().partition("\n")[0].partition(". ")[0]
        raise _error(path, f"not a file of weights ({reason}); {_REMEDY}") from error
    for key in ("state_dict", "model"):
        inner = found.get(key) if isinstance(found, Mapping) else None
        found = inner if isinstance(inner, Mapping) else found
    items = found.items() if isinstance(found, Mapping) else ()
    tensors = {_OLD_DENSENET.sub(r"\1\2", str(key)): value for key, value in items if isinstance(value, Tensor)}
    if not tensors:
        raise _error(path, f"holds no tensors by name; {_REMEDY}")
    return tensors


def _content(path: Path) -> object:
    with path.open("rb") as file:
        is_safetensors = file.read(9)[8:] == b"{"
    if not is_safetensors:
        return torch.load(path, map_location="cpu", weights_only=True)
    # Imported here: a machine that only trains may lack the package.
    from safetensors.torch import load_file

    return load_file(path)


@dataclass(frozen=True)
class _Encoder:
    """One encoder of a network.

    Attributes:
        place: its name in the network; the published network's if it is the network.
        kind: the published network.
        layers: published layer -> layer of the network, in order.
        held: published layer -> names of its tensors, such as weight and running_mean.
    """

    place: str
    kind: str
    layers: Names
    held: Mapping[str, list[str]]

    @classmethod
    def of(cls, place: str, module: nn.Module) -> "_Encoder":
        kind, layers_of = _ENCODERS[_class(module)]
        held: dict[str, list[str]] = {}
        for key in module.state_dict():
            layer, _, name = key.rpartition(".")
            if not key.endswith(_COUNTER):
                held.setdefault(layer, []).append(name)
        layers = {theirs: ours for theirs, ours in layers_of(module).items() if ours in held}
        full = {theirs: f"{place}.{ours}" if place else ours for theirs, ours in layers.items()}
        return cls(place or kind, kind, full, {theirs: held[ours] for theirs, ours in layers.items()})

    def keys(self) -> Names:
        """Published tensor -> tensor of the network."""
        layers = self.layers.items()
        return {f"{theirs}.{name}": f"{ours}.{name}" for theirs, ours in layers for name in self.held[theirs]}

    def prefix(self, tensors: Mapping[str, Tensor]) -> str | None:
        """What precedes every published name in a file, such as "module."; None if no name fits."""
        keys = self.keys()
        first = next(iter(keys))
        prefixes = ["", *dict.fromkeys(key.removesuffix(first) for key in tensors if key.endswith(f".{first}"))]
        counts = {prefix: sum(f"{prefix}{key}" in tensors for key in keys) for prefix in prefixes}
        best = max(prefixes, key=lambda prefix: counts[prefix])
        return best if counts[best] else None

    def load(
        self, state: Mapping[str, Tensor], tensors: Mapping[str, Tensor], path: Path | str, channels: int
    ) -> EncoderReport:
        """Copy what fits into the tensors of a network's state."""
        prefix, keys = self.prefix(tensors) or "", self.keys()
        missing: list[str] = []
        notes: list[str] = []
        n_loaded = n_zeroed = 0
        for theirs, ours in keys.items():
            value, target = tensors.get(f"{prefix}{theirs}"), state[ours]
            if value is not None:
                value, note = _for_input(value, target, channels) if theirs == next(iter(keys)) else (value, "")
                notes += [f"{theirs}: {note}"] if note else []
                self._refuse_unfit(theirs, value, target, path)
                _copy(target, value)
                n_loaded += 1
            elif _is_bias_of_conv(ours, state) and f"{prefix}{theirs.removesuffix('bias')}weight" in tensors:
                _copy(target, torch.zeros(target.shape))
                n_zeroed += 1
            else:
                missing.append(theirs)
        notes += [f"{n_zeroed} biases of convolutions that the file lacks are 0"] if n_zeroed else []
        used = {f"{prefix}{key}" for key in keys}
        unused = (key for key in tensors if key not in used and not key.endswith(_COUNTER))
        return EncoderReport(n_loaded, tuple(missing), tuple(unused), tuple(notes))

    def _refuse_unfit(self, name: str, value: Tensor, target: Tensor, path: Path | str) -> None:
        if value.shape != target.shape:
            raise _error(
                path,
                f"{name} is {tuple(value.shape)}, expected {tuple(target.shape)}; the file must be of {self.kind}, at "
                "the network's width (1 for published weights)",
            )
        if not torch.isfinite(value).all():
            raise _error(path, f"{name} has values that are not finite; get the file again")


def _class(module: nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"


def _is_bias_of_conv(key: str, state: Mapping[str, Tensor]) -> bool:
    weight = state.get(f"{key.removesuffix('bias')}weight") if key.endswith(".bias") else None
    return weight is not None and weight.ndim == 4


def _for_input(value: Tensor, target: Tensor, channels: int) -> tuple[Tensor, str]:
    """Weights of the first convolution for the network's input channels, and what was done, or "" for nothing.

    Args:
        value: of the file.
        target: of the network, whose input may have more channels than the images, such as a mask.
        channels: of the images.
    """
    if value.ndim != 4 or value.shape[:1] + value.shape[2:] != target.shape[:1] + target.shape[2:]:
        return value, ""
    theirs, ours, notes = value.shape[1], target.shape[1], []
    if channels > 1 and theirs != channels:
        value = (value.sum(dim=1, keepdim=True) / channels).expand(-1, channels, -1, -1)
        notes.append(f"each of the {channels} channels has a share of the sum of its {theirs} input channels")
        theirs = channels
    if ours == 1 < theirs:
        return value.sum(dim=1, keepdim=True), f"its {theirs} input channels are summed to 1, for gray images"
    if ours > theirs:
        rest = target[:, theirs:]
        rest = torch.zeros(rest.shape) if rest.is_meta else rest.to(value)
        notes.append(f"the network's input channels after its {theirs} start at random")
        return torch.cat([value, rest], dim=1), "; ".join(notes)
    return value, "; ".join(notes)


def _copy(target: Tensor, value: Tensor) -> None:
    if not target.is_meta:
        with torch.no_grad():
            target.copy_(value)


def _error(path: Path | str, what: str) -> UserError:
    return UserError(f"network.encoder_weights: {path}: {what}")
