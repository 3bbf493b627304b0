"""What is particular to Res U-Net, RV-GAN, Y-Net and Chen et al.; the contract tests ask the rest."""

import os
import subprocess
import sys

import pytest
import torch
from torch.nn import functional

from mmran.networks import build
from mmran.networks.blocks import DepthwiseConv2d, PointwiseConv2d
from mmran.networks.chen import conv_up, convs, initialize
from mmran.networks.complexity import trainable_parameters
from mmran.networks.rv_gan import ReflectionPad
from mmran.networks.y_net import POOLED_SHARES, tumor_logits
from mmran.training.losses import focal_loss
from mmran.training.multitask import Multitask
from tests.unit.training.recipe_loop import disc_batches, experiment, make


@pytest.mark.parametrize("name", ["res-unet", "rv-gan", "y-net", "chen"])
def test_smallest_image_and_smallest_width_go_through(name):
    network = build(name, width=1e-3).eval()
    output = network(torch.rand(1, 1, network.stride, network.stride))
    assert output.mask_logits.shape == (1, 1, network.stride, network.stride)
    assert output.mask_logits.isfinite().all()
    assert output.class_logits is None or output.class_logits.isfinite().all()


def test_generators_and_discriminators_have_the_parameters_of_the_released_code():
    with torch.device("meta"):
        network = build("rv-gan")
    counts = [trainable_parameters(part) for part in (network.coarse, network.fine, *network.discriminators)]
    assert counts == [13_328_001, 1_412_225, 395_265, 395_265]
    assert sum(counts[:2]) == 14_740_226


@pytest.mark.parametrize("n", [1, 2, 3])
def test_reflection_is_that_of_torch(n):
    x = torch.rand(2, 3, 4, 5, requires_grad=True)
    torch.testing.assert_close(ReflectionPad(n)(x), functional.pad(x, (n, n, n, n), mode="reflect"), rtol=0, atol=0)


def test_reflection_of_maps_smaller_than_the_margin_is_mirrored_again():
    # a b: ... a b | a b | a b ...: period 2, without repeating an edge.
    row = torch.tensor([[1.0, 2.0]]).view(1, 1, 1, 2)
    padded = ReflectionPad(3)(row)
    assert padded.shape == (1, 1, 7, 8)
    assert padded[0, 0, 0].tolist() == [2, 1, 2, 1, 2, 1, 2, 1]


def test_pooled_sides_at_384_pixels_are_those_the_authors_wrote():
    # Maps of 48, 96 and 192 pixels there.
    sides = [[round(share * side) for share in POOLED_SHARES] for side in (48, 96, 192)]
    assert sides == [[40, 32, 24, 18], [80, 64, 48, 36], [160, 128, 96, 72]]


def test_sigmoid_of_the_tumor_logit_is_the_softmax_probability_of_tissue_1():
    tissues = torch.randn(2, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(tumor_logits(tissues).sigmoid(), tissues.softmax(dim=1)[:, 1:2])


def test_tumor_logits_are_as_precise_as_what_they_are_made_from():
    tissues = torch.randn(2, 8, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    # The log-odds of a softmax probability p: log p - log (1 - p).
    probabilities = tissues.softmax(dim=1)[:, 1:2]
    torch.testing.assert_close(tumor_logits(tissues), probabilities.logit(), rtol=1e-13, atol=1e-13)
    assert tumor_logits(tissues.bfloat16()).dtype == torch.float32


def test_chen_is_evaluated_on_the_mean_of_its_heads_and_trained_on_each():
    recipe = make(experiment("chen", epochs=2), Multitask)
    (stage,) = recipe.stages()
    recipe.begin(stage)
    (batch,) = disc_batches()
    with torch.no_grad():
        output = recipe.network(batch.images)
    middle, last = output.auxiliary
    torch.testing.assert_close(output.class_logits, (middle + last) / 2)
    assert not torch.equal(middle, last)
    expected = (focal_loss(middle, batch.labels) + focal_loss(last, batch.labels)) / 2
    torch.testing.assert_close(recipe.step(batch, stage, 1)["focal_loss"], expected)


def test_chen_with_batch_norm_has_two_parameters_more_per_normalized_channel() -> None:
    # Of the encoder 64 x 2 + 128 x 2 + 256 x 3 + 512 x 6 = 4224 channels, of the transposed convolutions
    # 256 x 3 + 64 + 32 = 864: 2 x 5088 more than without.
    assert trainable_parameters(build("chen", batch_norm=True)) == 32_202_055 + 10_176


def test_chen_lets_a_signal_through_its_layers_without_losing_its_strength():
    torch.manual_seed(0)
    layers = torch.nn.Sequential(convs(64, 64, 6), conv_up(64, 64, 64), convs(64, 64, 6))
    initialize(layers)
    x = torch.randn(2, 64, 16, 16)
    with torch.no_grad():
        strength = layers(x).square().mean() / x.relu().square().mean()
    assert 0.2 < strength < 5
    assert not any(p.any() for name, p in layers.named_parameters() if name.endswith("bias"))


def test_dilated_depthwise_weights_learn_alike_in_bfloat16_and_channels_last():
    # Of 36 pixels: on smaller maps torch takes another way, on which its gradient is right.
    gradients = []
    for rounded in (False, True):
        torch.manual_seed(0)
        conv = DepthwiseConv2d(16, 3, dilation=2).to(memory_format=torch.channels_last)
        x = torch.randn(4, 16, 36, 36).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=rounded):
            result = conv(x.bfloat16() if rounded else x)
        (result.float() * torch.linspace(-1, 1, result.numel()).view_as(result)).sum().backward()
        gradients.append(conv.weight.grad)
    torch.testing.assert_close(*gradients, rtol=0.05, atol=0.05 * float(gradients[0].abs().max()))


@pytest.mark.parametrize(("side", "stride", "dilation"), [(4, 1, 2), (9, 1, 2), (12, 2, 2), (11, 1, 3)])
def test_a_dilated_depthwise_convolution_is_torchs_own_in_float64(side: int, stride: int, dilation: int) -> None:
    torch.manual_seed(0)
    ours = DepthwiseConv2d(8, 3, stride, padding=dilation, dilation=dilation).double()
    images = torch.randn(2, 8, side, side, dtype=torch.float64)
    expected = torch.nn.functional.conv2d(images, ours.weight, None, stride, dilation, dilation, groups=8)
    torch.testing.assert_close(ours(images), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("side", "bias"), [(12, True), (9, False)])
def test_a_strided_pointwise_convolution_is_torchs_own(side: int, bias: bool) -> None:
    torch.manual_seed(0)
    ours = PointwiseConv2d(8, 16, 1, stride=2, bias=bias).double()
    images = torch.randn(2, 8, side, side, dtype=torch.float64)
    expected = torch.nn.functional.conv2d(images, ours.weight, ours.bias, stride=2)
    torch.testing.assert_close(ours(images), expected, rtol=0, atol=1e-12)


STEPS_OF_A_STRIDED_BLOCK = """
import torch
from mmran.networks.xception import Xception65Block
torch.set_num_threads(2)
block = Xception65Block(4, 8, stride=2).to(memory_format=torch.channels_last)
for step in range(100):
    images = torch.rand(1 + step % 4, 4, 32, 32, requires_grad=True)
    block(images).square().sum().backward()
"""


@pytest.mark.slow
def test_strided_blocks_of_few_channels_learn_on_several_threads():
    # In a process of its own, since what is tried here is that it survives.
    command = [sys.executable, "-c", STEPS_OF_A_STRIDED_BLOCK]
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
