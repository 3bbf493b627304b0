"""One block of every network, computed a second time in NumPy from its drawing in the authors' paper or code."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmran.networks import build
from mmran.networks.attention import ATTENTIONS, Attention
from mmran.networks.blocks import Residual, SpatialPyramidPooling, conv_block, double_conv
from mmran.networks.chen import Merge, conv_up
from mmran.networks.datta import SoftAttention
from mmran.networks.he import DenseUpStage
from mmran.networks.mb_dcnn import ASPP
from mmran.networks.mmran import READINGS, encoder_stage
from mmran.networks.resnet import Bottleneck
from mmran.networks.rv_gan import BranchedResidual, DilatedResidual, FeatureAggregation
from mmran.networks.unet import UpStage
from mmran.networks.xception import Xception65Block, XceptionBlock
from mmran.networks.y_net import DownStage, PyramidPooling
from tests.equivalence import numpy_layers as np_
from tests.equivalence.numpy_layers import Array, concatenate, conv, conv_transpose, leaky, linear, norm, relu, sigmoid

C = 8


def maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def prepared(module: nn.Module) -> nn.Module:
    """In evaluation mode and double precision, its normalizations away from the identity."""
    generator = torch.Generator().manual_seed(1)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.running_var, layer.weight, layer.running_mean, layer.bias):
                values.data = 0.5 + torch.rand(values.shape, generator=generator)
    return module.double().eval()


def check(module: nn.Module, expected: Callable[..., Array], *inputs: Tensor, atol: float = 1e-9) -> None:
    with torch.no_grad():
        # Cloned: some blocks rectify their input in place.
        result = module(*(x.clone() for x in inputs))
    np.testing.assert_allclose(result.numpy(), expected(*(x.numpy() for x in inputs)), rtol=1e-9, atol=atol)


def sequence(layers: nn.Sequential, x: Array) -> Array:
    """Convolutions, normalizations and ReLUs, one after the other."""
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            x = conv(layer, x)
        elif isinstance(layer, nn.ConvTranspose2d):
            x = conv_transpose(layer, x)
        elif isinstance(layer, nn.BatchNorm2d):
            x = norm(layer, x)
        else:
            assert isinstance(layer, nn.ReLU), layer
            x = relu(x)
    return x


def mram(module: Attention, x: Array) -> Array:
    """Eqs. 1-9."""
    features = norm(module.multiscale.norm, concatenate(*(conv(scale, x) for scale in module.multiscale.scales)))
    gate = module.channel_gate
    weights = 1.0
    for branch, pooled in ((gate.mean_branch, features.mean((2, 3))), (gate.max_branch, features.max((2, 3)))):
        weights = weights * sigmoid(linear(branch[2], relu(linear(branch[0], pooled))))
    gated = weights[:, :, None, None] * features
    return features + sigmoid(conv(module.spatial_gate.squeeze, gated)) * gated


def test_encoder_stage_of_mmran() -> None:
    stage = prepared(encoder_stage(4, C, ATTENTIONS["mram"], READINGS["paper"]))

    def expected(x: Array) -> Array:
        *first, attention = stage.body
        return relu(mram(attention, sequence(nn.Sequential(*first), x)) + sequence(stage.shortcut, x))

    check(stage, expected, maps(2, 4, 6, 10))


def test_up_stage_of_unets() -> None:
    stage = prepared(UpStage(2 * C, C, residual=True))

    def expected(x: Array, skip: Array) -> Array:
        merged = concatenate(conv_transpose(stage.up, x), skip)
        return relu(sequence(stage.convs.body, merged) + sequence(stage.convs.shortcut, merged))

    check(stage, expected, maps(2, 2 * C, 3, 5), maps(2, C, 6, 10))


def test_residual_double_convolution_of_res_unet() -> None:
    block = prepared(double_conv(4, C, residual=True))
    assert isinstance(block, Residual)
    check(block, lambda x: relu(sequence(block.body, x) + sequence(block.shortcut, x)), maps(2, 4, 6, 10))


def test_spatial_pyramid_pooling() -> None:
    def expected(x: Array) -> Array:
        bins = []
        for n in (1, 2, 4):
            rows = [part.max(2) for part in np.split(x, n, axis=2)]
            bins.append(np.stack([np.stack([b.max(2) for b in np.split(row, n, axis=2)], -1) for row in rows], 2))
        return np.concatenate([b.reshape(len(x), -1) for b in bins], axis=1)

    check(SpatialPyramidPooling((1, 2, 4)), expected, maps(2, C, 8, 12))


def test_decoder_block_of_chen() -> None:
    block = prepared(Merge(*conv_up(3 * C, 2 * C, C)))
    check(block, lambda x, skip: sequence(block, concatenate(x, skip)), maps(2, 2 * C, 4, 6), maps(2, C, 4, 6))


def test_bottleneck_of_resnet() -> None:
    block = prepared(Bottleneck(C, 4, stride=2))
    check(block, lambda x: relu(sequence(block.body, x) + sequence(block.shortcut, x)), maps(2, C, 7, 10))


def test_soft_attention_of_datta() -> None:
    module = prepared(SoftAttention(C, 4))

    def expected(x: Array) -> Array:
        scores = relu(conv(module.maps, x))
        weights = np_.softmax(scores.reshape(*scores.shape[:2], -1), axis=2).sum(1).reshape(len(x), 1, *x.shape[2:])
        return module.gamma.item() * x * weights

    check(module, expected, maps(2, C, 5, 7))


def test_down_stage_and_pyramid_pooling_of_y_net() -> None:
    down = prepared(DownStage(4, C, n_blocks=2))

    def downsampled(x: Array) -> Array:
        first = refined = sequence(down.down, x)
        for block in down.refine:
            refined = relu(refined + sequence(block.body, refined))
        return sequence(down.norm, concatenate(first, refined))

    check(down, downsampled, maps(2, 4, 7, 10))
    pyramid = prepared(PyramidPooling(C, 4))

    def pooled(x: Array) -> Array:
        copies = []
        for rows, columns, branch in zip((10, 8, 6, 4), (15, 12, 9, 7), pyramid.branches, strict=True):
            copies.append(np_.resize(sequence(branch, np_.pool_mean(x, rows, columns)), 12, 18))
        return concatenate(x, *copies)

    # Sides of 12 and 18 pixels times 5/6, 2/3, 1/2 and 3/8, the last 4.5 and 6.75 rounded. Weights are float32.
    check(pyramid, pooled, maps(2, C, 12, 18), atol=1e-5)


def test_up_stage_of_he() -> None:
    stage = prepared(DenseUpStage(3 * C, C, growth=4))
    *mix, dense = stage.convs

    def pre_activated(layers: list[nn.Module], x: Array) -> Array:
        return sequence(nn.Sequential(*layers), x)

    def expected(x: Array, skip: Array) -> Array:
        mixed = pre_activated(mix, concatenate(np_.resize(x, 6, 10), skip))
        return concatenate(mixed, pre_activated(list(dense.body), mixed))

    check(stage, expected, maps(2, 2 * C, 3, 5), maps(2, C, 6, 10))


@pytest.mark.parametrize("late", [False, True])
def test_blocks_of_both_xceptions(late: bool) -> None:
    block = prepared(Xception65Block(4, C, stride=2, late=late))
    check(
        block,
        lambda x: sequence(block.last, sequence(block.widening, x)) + sequence(block.shortcut, x),
        maps(2, 4, 8, 10),
    )
    plain = prepared(XceptionBlock(4, C, convs=2))
    check(plain, lambda x: sequence(plain.body, x) + sequence(plain.shortcut, x), maps(2, 4, 8, 10))


def test_atrous_pyramid_of_mb_dcnn() -> None:
    pyramid = prepared(ASPP(C, 4, separable=False))

    def expected(x: Array) -> Array:
        image = sequence(pyramid.image_branch, x.mean((2, 3), keepdims=True))
        branches = [sequence(branch, x) for branch in pyramid.branches]
        return sequence(pyramid.mix, concatenate(*branches, np.broadcast_to(image, branches[0].shape)))

    check(pyramid, expected, maps(2, C, 9, 11))


def test_blocks_of_rv_gan() -> None:
    def part(layers: nn.Sequential, x: Array) -> Array:
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                x = conv(layer, x)
            elif isinstance(layer, nn.BatchNorm2d):
                x = norm(layer, x)
            elif isinstance(layer, nn.LeakyReLU):
                x = leaky(x)
            else:
                x = np_.reflect(x, layer.n)
        return x

    x = maps(2, C, 6, 9)
    aggregation = prepared(FeatureAggregation(C))
    check(aggregation, lambda x: part(aggregation.dense, x + part(aggregation.separable, x)) + x, x)
    dilated = prepared(DilatedResidual(C))

    def residual(x: Array) -> Array:
        first = part(dilated.first, x)
        return x + part(dilated.near, first) + part(dilated.far, first)

    check(dilated, residual, x)
    branched = prepared(BranchedResidual(C))
    check(branched, lambda x: x + part(branched.dense, x) + part(branched.separable, x), x)


def test_whole_mmran_is_its_walk() -> None:
    """The order of maxima, skip connections and heads, with the stages themselves taken from the network."""
    network = prepared(build("mmran", width=1 / 16))
    images = torch.rand(1, 1, 32, 48, dtype=torch.float64)

    def run(module: nn.Module, *x: Array) -> Array:
        with torch.no_grad():
            return module(*map(torch.from_numpy, x)).numpy()

    x, skips = images.numpy(), []
    for stage in network.encoder:
        x = run(stage, x)
        skips.append(x)
        batch, channels, height, width = x.shape
        x = x.reshape(batch, channels, height // 2, 2, width // 2, 2).max((3, 5))
    deepest = x = run(network.bottleneck, x)
    for stage in network.decoder:
        x = run(stage, x, skips.pop())
    with torch.no_grad():
        output = network(images)
    np.testing.assert_allclose(output.mask_logits.numpy(), conv(network.mask_head, x), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(output.class_logits.numpy(), run(network.class_head, deepest), rtol=1e-9, atol=1e-9)


def test_convolutional_module() -> None:
    block = prepared(nn.Sequential(*conv_block(4, C, kernel=7, stride=2)))
    check(block, lambda x: sequence(block, x), maps(2, 4, 9, 12))
