"""Equations 1-10 on features small enough to work out by hand."""

from dataclasses import asdict
from itertools import pairwise
from math import exp

import pytest
import torch
from torch import Tensor, nn

from mmran.networks.attention import ATTENTIONS, Attention, ChannelGate, MultiscaleModule, SpatialGate
from mmran.networks.blocks import Residual

C = 4


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def features() -> Tensor:
    """(1, 4, 1, 2): channel means 1, 2, 0, -1 and maxima 2, 2, 3, 0."""
    return torch.tensor([[0.0, 2.0], [2.0, 2.0], [-3.0, 3.0], [-2.0, 0.0]]).view(1, C, 1, 2)


MEANS, MAXIMA = (1.0, 2.0, 0.0, -1.0), (2.0, 2.0, 3.0, 0.0)


def set_identity(gate: ChannelGate, factor: float = 1.0) -> None:
    """W0 = identity, W1 = factor x identity in the mean branch, and W1' = -factor x identity in the other."""
    for branch, sign in ((gate.mean_branch, 1), (gate.max_branch, -1)):
        if branch is not None:
            branch[0].weight.data = torch.eye(C)
            branch[2].weight.data = sign * factor * torch.eye(C)


def attention(name: str) -> Attention:
    """An attention module on features as they are: identity weights, and 1/2 in the spatial gate."""
    module = Attention(C, ATTENTIONS[name], reduction=1).eval()
    module.multiscale = nn.Identity()
    set_identity(module.channel_gate)
    if module.spatial_gate is not None:
        nn.init.constant_(module.spatial_gate.squeeze.weight, 0.5)
    return module


def column(values: list[float]) -> Tensor:
    """(1, 4, 1, 1)."""
    return torch.tensor(values).view(1, C, 1, 1)


def test_multiscale_module_spreads_an_impulse_over_3_5_7_and_9_pixels():
    module = MultiscaleModule(C).eval()
    module.norm.eps = 0.0
    for scale in module.scales:
        nn.init.ones_(scale.weight)
    impulse = torch.zeros(1, C, 11, 11)
    impulse[0, 0, 5, 5] = 1
    # Eq. 1: F_i is a square of (2 (i + 1) + 1)^2 ones; Eq. 2: one channel each.
    spread = module(impulse)
    assert spread.sum(dim=(0, 2, 3)).tolist() == [9, 25, 49, 81]
    assert spread[0, 1, 3:8, 3:8].eq(1).all()


def test_channel_gate_is_the_product_of_the_sigmoids_of_mean_and_maximum():
    gate = ChannelGate(C, reduction=1, maximum=True, combine="product")
    set_identity(gate)
    # Eq. 5 with W1 = 1, W1' = -1: sigmoid(max(mean, 0)) sigmoid(-max(maximum, 0)).
    expected = [sigmoid(max(a, 0)) * sigmoid(-b) for a, b in zip(MEANS, MAXIMA, strict=True)]
    torch.testing.assert_close(gate(features()), column(expected))


def test_channel_gate_of_the_ablation_is_their_sum():
    gate = ChannelGate(C, reduction=1, maximum=True, combine="sum")
    set_identity(gate)
    expected = [sigmoid(max(a, 0)) + sigmoid(-b) for a, b in zip(MEANS, MAXIMA, strict=True)]
    torch.testing.assert_close(gate(features()), column(expected))


def test_channel_gate_squeezes_to_channels_over_reduction_but_not_below_four():
    hidden = [ChannelGate(channels, 4).mean_branch[0].out_features for channels in (64, 16, 8)]
    assert hidden == [16, 4, 4]


def test_spatial_gate_weighs_pixels_by_a_sum_over_channels():
    gate = SpatialGate(C)
    nn.init.constant_(gate.squeeze.weight, 0.5)
    # Eq. 7. Pixel sums over channels: 0 + 2 - 3 - 2 = -3 and 2 + 2 + 3 + 0 = 7.
    expected = torch.tensor([sigmoid(-1.5), sigmoid(3.5)]).view(1, 1, 1, 2)
    torch.testing.assert_close(gate(features()), expected)


def test_se_scales_channels_by_their_mean():
    module = attention("se")
    for layer in (module.channel_gate.mean_branch[0], module.channel_gate.mean_branch[2]):
        nn.init.zeros_(layer.bias)
    expected = column([sigmoid(max(a, 0)) for a in MEANS]) * features()
    torch.testing.assert_close(module(features()), expected)


@pytest.mark.parametrize(("name", "maximum", "residual"), [
    ("scse", False, False),
    ("scse-msm", False, False),
    ("scse-msm-gmp", True, False),
    ("scse-msm-gmp-res", True, True),
])  # fmt: skip
def test_scse_adds_channel_and_spatial_excitation_of_the_same_features(name, maximum, residual):
    u = features()
    channel = [sigmoid(max(a, 0)) + maximum * sigmoid(-b) for a, b in zip(MEANS, MAXIMA, strict=True)]
    spatial = torch.tensor([sigmoid(-1.5), sigmoid(3.5)]).view(1, 1, 1, 2)
    expected = residual * u + column(channel) * u + spatial * u
    torch.testing.assert_close(attention(name)(u), expected)


def test_mram_gates_channels_first_then_pixels_and_adds_its_features():
    u = features()
    channel = [sigmoid(max(a, 0)) * sigmoid(-b) for a, b in zip(MEANS, MAXIMA, strict=True)]  # M_c, Eq. 5
    gated = column(channel) * u  # F_cSE, Eq. 6
    sums = [sum(w * row[pixel] for w, row in zip(channel, u[0, :, 0].tolist(), strict=True)) for pixel in (0, 1)]
    spatial = torch.tensor([sigmoid(0.5 * s) for s in sums]).view(1, 1, 1, 2)  # M_s, Eq. 7
    torch.testing.assert_close(attention("mram")(u), u + spatial * gated)  # Eqs. 8-9


def test_mram_gates_what_its_multiscale_module_made_of_its_input():
    module = attention("mram")
    module.multiscale = nn.Upsample(scale_factor=1)
    module.multiscale.forward = lambda x: -x  # F' = -F
    torch.testing.assert_close(module(features()), attention("mram")(-features()))


def test_residual_module_adds_its_shortcut_before_the_last_relu():
    module = Residual(1, 1, [nn.Identity()]).eval()
    convolution, norm = module.shortcut
    norm.eps = 0.0
    nn.init.constant_(convolution.weight, -3.0)
    # Eq. 10: F_att + F_res = x - 3 x.
    assert module(torch.tensor([-1.0, 2.0]).view(1, 1, 1, 2)).flatten().tolist() == [2, 0]


def test_the_multiscale_control_has_no_gate() -> None:
    module = Attention(C, ATTENTIONS["msm"], reduction=1).eval()
    u = features()
    torch.testing.assert_close(module(u), module.multiscale(u))
    assert {name.split(".")[0] for name, _ in module.named_parameters()} == {"multiscale"}


def test_the_single_steps_change_one_part_each() -> None:
    path = ["se", "se-spatial", "se-spatial-r4", "scse"]
    path += ["scse-msm", "scse-msm-gmp", "scse-msm-gmp-res", "scse-msm-gmp-res-product", "mram"]
    forms = [asdict(ATTENTIONS[name]) for name in path]
    changed = [[key for key in before if before[key] != after[key]] for before, after in pairwise(forms)]
    assert changed == [
        *(["spatial"], ["reduction"], ["bias"], ["multiscale"]),
        *(["maximum"], ["residual"], ["combine"], ["sequential"]),
    ]
