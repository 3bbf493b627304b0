"""The multiscale residual attention module (MRAM) and the steps of its ablation, as values of one class.

The paper's notation: F' multiscale features, M_c channel gate, M_s spatial gate, F^ gated features.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn

from mmran.errors import UserError

KERNELS = (3, 5, 7, 9)
"""k_i = 2 (i + 1) + 1 for i = 0..3 (Eq. 1)."""

SMALLEST_HIDDEN = 4
"""Fewest hidden units of a channel gate. At small widths a single unit that dies behind its ReLU would freeze the gate;
at full width every reduction in use leaves at least as many."""


@dataclass(frozen=True)
class AttentionForm:
    """The parts of an attention module.

    Attributes:
        multiscale: the multiscale module comes first; it can replace a convolution.
        channel: a channel gate.
        maximum: the channel gate has a second branch, on global max pooling.
        combine: how the sigmoids of the two branches combine.
        spatial: a spatial gate runs in parallel to the channel gate, or after it if `sequential`.
        sequential: see `spatial`.
        residual: the gated features are added to the features instead of replacing them.
        bias: the linear layers of the channel gate have a bias.
        reduction: channels per hidden unit, where the module's authors fixed it; None takes the network's.
    """

    multiscale: bool = False
    channel: bool = True
    maximum: bool = False
    combine: Literal["sum", "product"] = "sum"
    spatial: bool = True
    sequential: bool = False
    residual: bool = False
    bias: bool = False
    reduction: int | None = None


ATTENTIONS: Mapping[str, AttentionForm | None] = MappingProxyType(
    {
        "none": None,
        "se": AttentionForm(spatial=False, bias=True, reduction=16),  # Hu et al. 2018
        "scse": AttentionForm(),  # Roy et al. 2018
        "scse-msm": AttentionForm(multiscale=True),
        "scse-msm-gmp": AttentionForm(multiscale=True, maximum=True),
        "scse-msm-gmp-res": AttentionForm(multiscale=True, maximum=True, residual=True),
        "mram": AttentionForm(multiscale=True, maximum=True, combine="product", sequential=True, residual=True),
        # Between two rows of Table 2: one change at a time.
        "se-spatial": AttentionForm(bias=True, reduction=16),
        "se-spatial-r4": AttentionForm(bias=True),
        "scse-msm-gmp-res-product": AttentionForm(multiscale=True, maximum=True, combine="product", residual=True),
        # A control: the multiscale module's parameters without a gate.
        "msm": AttentionForm(multiscale=True, channel=False, spatial=False),
    }
)
"""The rows of Table 2 by name, the single steps between them, and a control."""


def attention_form(name: str) -> AttentionForm | None:
    """The form of a name in `ATTENTIONS`, None for no attention.

    Raises:
        UserError: the name is unknown.
    """
    if name not in ATTENTIONS:
        raise UserError(f"network option attention: {name!r} is unknown; choose one of {', '.join(ATTENTIONS)}")
    return ATTENTIONS[name]


class MultiscaleModule(nn.Module):
    """Four parallel convolutions, a quarter of the channels each, then batch normalization.

    (B, C, H, W) -> (B, C, H, W). 41 C^2 parameters, and 2 C of the normalization.

    Source: Eqs. 1-2, Fig. 3. The paper does not state the channels per scale: C/4 each gives F' the C channels of F.
    Deviates: Eq. 2 has no batch normalization; the authors' released code has. It makes the batch mean of what Eq. 3
    pools zero. `norm=False` follows the equation.

    Args:
        channels: C, a multiple of 4.
        norm: batch normalization at the end.
    """

    def __init__(self, channels: int, norm: bool = True):
        super().__init__()
        self.scales = nn.ModuleList(
            nn.Conv2d(channels, channels // len(KERNELS), kernel, padding=kernel // 2, bias=False) for kernel in KERNELS
        )
        self.norm: nn.Module = nn.BatchNorm2d(channels) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """F to F'."""
        features: Tensor = self.norm(torch.cat([scale(x) for scale in self.scales], dim=1))
        return features


class ChannelGate(nn.Module):
    """M_c: a weight per channel from its mean and, with `maximum`, also from its maximum.

    (B, C, H, W) -> (B, C, 1, 1), 0..1, or 0..2 for the sum of two branches.
    The maximum is `amax`, because the backward pass of adaptive max pooling is not deterministic on CUDA.

    Source: Eqs. 3-5; one branch: Hu et al. 2018. Each branch has its own weights. The paper does not state bias and
    reduction: no bias and 4 fit Table 3.

    Args:
        channels: C.
        reduction: channels per hidden unit.
        maximum: second branch, on global max pooling.
        combine: "product" (Eq. 5) or "sum" of the branches' sigmoids.
        bias: the linear layers have a bias.
    """

    def __init__(
        self,
        channels: int,
        reduction: int,
        maximum: bool = False,
        combine: Literal["sum", "product"] = "product",
        bias: bool = False,
    ):
        super().__init__()
        self.combine = combine
        self.mean_branch = _perceptron(channels, reduction, bias)
        self.max_branch = _perceptron(channels, reduction, bias) if maximum else None

    def forward(self, x: Tensor) -> Tensor:
        """F' to M_c."""
        gate = torch.sigmoid(self.mean_branch(x.mean(dim=(2, 3))))  # (B, C)
        if self.max_branch is not None:
            other = torch.sigmoid(self.max_branch(x.amax(dim=(2, 3))))
            gate = gate * other if self.combine == "product" else gate + other
        return gate[:, :, None, None]


def _perceptron(channels: int, reduction: int, bias: bool) -> nn.Sequential:
    hidden = max(SMALLEST_HIDDEN, channels // reduction)
    return nn.Sequential(
        nn.Linear(channels, hidden, bias=bias), nn.ReLU(inplace=True), nn.Linear(hidden, channels, bias=bias)
    )


class SpatialGate(nn.Module):
    """M_s: a weight per pixel, 0..1. (B, C, H, W) -> (B, 1, H, W).

    Source: Eq. 7; without bias, as in Roy et al. 2018.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, 1, kernel_size=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """F_cSE to M_s."""
        return torch.sigmoid(self.squeeze(x))


class Attention(nn.Module):
    """Each attention module of `ATTENTIONS`. (B, C, H, W) -> (B, C, H, W).

    Source: Eqs. 1-9, Fig. 2; section 4.4 for the steps from scSE to MRAM.
    Deviates: around Eqs. 6 and 9 the text says F, the module's input, and the equations F'. This follows the equations.

    Args:
        channels: C, a multiple of 4.
        form: its parts.
        reduction: of the channel gate, unless the form fixes it.
        multiscale_norm: see `MultiscaleModule`.
    """

    def __init__(self, channels: int, form: AttentionForm, reduction: int, multiscale_norm: bool = True):
        super().__init__()
        self.form = form
        self.multiscale = MultiscaleModule(channels, multiscale_norm) if form.multiscale else nn.Identity()
        self.channel_gate = (
            ChannelGate(channels, form.reduction or reduction, form.maximum, form.combine, form.bias)
            if form.channel
            else None
        )
        self.spatial_gate = SpatialGate(channels) if form.spatial else None

    def forward(self, x: Tensor) -> Tensor:
        """F to F_att."""
        features = self.multiscale(x)  # F'
        if self.channel_gate is None:
            return features
        gated = self.channel_gate(features) * features  # F_cSE, Eq. 6
        if self.spatial_gate is not None:
            if self.form.sequential:
                gated = self.spatial_gate(gated) * gated  # F^, Eq. 8
            else:
                gated = gated + self.spatial_gate(features) * features
        return features + gated if self.form.residual else gated  # Eq. 9
