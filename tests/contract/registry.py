"""The networks of the registry and their variants, small enough to test."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mmran.config.configuration import Config
from mmran.networks import NETWORKS, build, network_class
from mmran.networks.attention import ATTENTIONS
from mmran.networks.output import Network, NetworkOutput

WIDTH = 1 / 16
PAPER = Config.read([Path(__file__).resolve().parents[2] / "config.yaml"])
CONFIGURED = {name: PAPER.resolve(name).network for name in PAPER.all_experiments()}
# Of the experiments that share a network, the last one names it. Another width is not another network.
DISTINCT = {(spec.name, str(spec.options)): name for name, spec in CONFIGURED.items() if spec.width == 1}
VARIANTS = [
    pytest.param(CONFIGURED[name].name, dict(CONFIGURED[name].options), id=name) for name in DISTINCT.values()
] + [
    pytest.param("mmran", {"attention": attention, "reading": "released-backbone"}, id=f"released-{attention}")
    for attention in ATTENTIONS
    if attention not in ("none", "mram")  # configured already
]
SEGMENTING = [name for name in NETWORKS if "segmentation" in network_class(name).tasks]


def small(name: str, options: dict[str, Any], seed: int = 0, **more: Any) -> Network:
    torch.manual_seed(seed)
    return build(name, **({"width": WIDTH} | options | more))


def images_of(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(seed))


def total(output: NetworkOutput) -> Tensor:
    """A number that depends on every element of every output, each with another weight."""
    parts = [part for part in (output.mask_logits, output.class_logits, *output.auxiliary) if part is not None]
    return weighted_sum(parts)


def weighted_sum(parts: Iterable[Tensor]) -> Tensor:
    def weights(part: Tensor) -> Tensor:
        return torch.linspace(0.5, 1.5, part.numel(), device=part.device).view_as(part)

    return sum((part * weights(part)).sum() for part in parts)
