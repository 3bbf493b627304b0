"""Encoders that start from published weights. Names are those that torchvision and timm write."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from mmran.errors import UserError
from mmran.networks import build
from mmran.networks.encoder_weights import load_encoder
from mmran.networks.published_names import EncoderReport

WIDTH = 1 / 16
STEM, INNER = 4, (4, 8, 16, 32)  # channels of ResNet-50 at that width


def conv(*shape: int) -> Tensor:
    return torch.randn(*shape) / (shape[1] * shape[2] * shape[3]) ** 0.5


def batch_norm(name: str, channels: int) -> dict[str, Tensor]:
    return {
        f"{name}.weight": torch.rand(channels) + 0.5,
        f"{name}.bias": torch.randn(channels) * 0.1,
        f"{name}.running_mean": torch.randn(channels) * 0.1,
        f"{name}.running_var": torch.rand(channels) + 0.5,
        f"{name}.num_batches_tracked": torch.tensor(7),
    }


def resnet50() -> dict[str, Tensor]:
    """A state dict of torchvision's ResNet-50, but narrow, with three input channels and its classifier."""
    torch.manual_seed(0)
    tensors = {"conv1.weight": conv(STEM, 3, 7, 7), **batch_norm("bn1", STEM)}
    before = STEM
    for stage, (depth, inner) in enumerate(zip((3, 4, 6, 3), INNER, strict=True), start=1):
        for i in range(depth):
            name, out = f"layer{stage}.{i}", 4 * inner
            shapes = {1: (inner, before, 1, 1), 2: (inner, inner, 3, 3), 3: (out, inner, 1, 1)}
            for k, shape in shapes.items():
                tensors |= {f"{name}.conv{k}.weight": conv(*shape), **batch_norm(f"{name}.bn{k}", shape[0])}
            if i == 0:
                tensors[f"{name}.downsample.0.weight"] = conv(out, before, 1, 1)
                tensors |= batch_norm(f"{name}.downsample.1", out)
            before = out
    return tensors | {"fc.weight": torch.randn(1000, before), "fc.bias": torch.randn(1000)}


def published_features(tensors: dict[str, Tensor], images: Tensor) -> Tensor:
    """The forward pass of torchvision's ResNet-50 up to its pooling, written out; images (B, 3, H, W)."""

    def step(x: Tensor, convolution: str, norm: str, stride: int = 1) -> Tensor:
        weight = tensors[f"{convolution}.weight"]
        x = functional.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2)
        mean, variance = tensors[f"{norm}.running_mean"], tensors[f"{norm}.running_var"]
        return functional.batch_norm(x, mean, variance, tensors[f"{norm}.weight"], tensors[f"{norm}.bias"])

    x = functional.max_pool2d(torch.relu(step(images, "conv1", "bn1", 2)), 3, 2, 1)
    for stage, depth in enumerate((3, 4, 6, 3), start=1):
        for i in range(depth):
            name, stride = f"layer{stage}.{i}", 2 if stage > 1 and i == 0 else 1
            y = torch.relu(step(x, f"{name}.conv1", f"{name}.bn1"))
            y = torch.relu(step(y, f"{name}.conv2", f"{name}.bn2", stride))
            y = step(y, f"{name}.conv3", f"{name}.bn3")
            x = torch.relu(y + (step(x, f"{name}.downsample.0", f"{name}.downsample.1", stride) if i == 0 else x))
    return x


def narrow(name: str, **options: Any) -> Any:
    torch.manual_seed(1)
    return build(name, width=WIDTH, **options).eval()


def saved(folder: Path, tensors: Any) -> Path:
    path = folder / "weights.pth"
    torch.save(tensors, path)
    return path


@pytest.mark.parametrize("name", ["resnet-50", "datta"])
def test_the_features_of_a_gray_image_are_those_of_the_published_encoder(tmp_path: Path, name: str) -> None:
    # ResNet-50 has biases that the published one lacks; only zeros leave its features as they are.
    tensors, network, images = resnet50(), narrow(name), torch.rand(2, 1, 64, 64)
    load_encoder(network, saved(tmp_path, tensors))
    with torch.inference_mode():
        torch.testing.assert_close(network.features(images), published_features(tensors, images.expand(-1, 3, -1, -1)))


def test_the_report_names_what_is_unused_missing_and_changed(tmp_path: Path) -> None:
    tensors = resnet50()
    del tensors["layer2.1.bn3.bias"]
    # 53 convolutions, and 53 times four tensors of batch norm, without the one that is gone; 53 biases.
    assert load_encoder(narrow("resnet-50"), saved(tmp_path, tensors)) == EncoderReport(
        loaded=53 * 5 - 1,
        missing=("layer2.1.bn3.bias",),
        unused=("fc.bias", "fc.weight"),
        notes=(
            "conv1.weight: its 3 input channels are summed to 1, for gray images",
            "53 biases of convolutions that the file lacks are 0",
        ),
    )


def test_what_the_file_lacks_keeps_its_random_start(tmp_path: Path) -> None:
    tensors, network = resnet50(), narrow("datta")
    del tensors["layer2.1.conv3.weight"]
    load_encoder(network, saved(tmp_path, tensors))
    untouched = narrow("datta").state_dict()
    assert torch.equal(network.features.stage2[1].body[6].weight, untouched["features.stage2.1.body.6.weight"])
    assert torch.equal(network.class_head.weight, untouched["class_head.weight"])


def wrapped(tensors: dict[str, Tensor]) -> Any:
    return {"epoch": 90, "state_dict": {f"module.{key}": value for key, value in tensors.items()}}


@pytest.mark.parametrize(
    "write",
    [
        lambda path, tensors: torch.save(wrapped(tensors), path),
        lambda path, tensors: torch.save(tensors, path, _use_new_zipfile_serialization=False),
        lambda path, tensors: save_file({key: value.contiguous() for key, value in tensors.items()}, path),
    ],
    ids=["checkpoint of several GPUs", "torch before 1.6", "safetensors"],
)
def test_every_form_of_file_gives_the_same_weights(tmp_path: Path, write: Callable[[Path, Any], None]) -> None:
    tensors, network = resnet50(), narrow("datta")
    write(tmp_path / "weights", tensors)
    load_encoder(network, tmp_path / "weights")
    assert torch.equal(network.features.stage4[2].body[7].running_var, tensors["layer4.2.bn3.running_var"])


def renamed(network: nn.Module, names: dict[str, str]) -> dict[str, Tensor]:
    """Random values for the layers of a network, under published names."""
    state = network.state_dict()
    return {
        f"{theirs}.{kind}": torch.randn_like(state[f"{ours}.{kind}"])
        for theirs, ours in names.items()
        for kind in ("weight", "bias", "running_mean")
        if f"{ours}.{kind}" in state
    }


@pytest.mark.parametrize(
    ("name", "options", "names"),
    [
        # torchvision: vgg16().features has convolutions at 0, 2, 5, 7, 10, 12, 14, 17, ..., 28.
        ("chen", {}, {"features.0": "encoder.0.0", "features.7": "encoder.1.2", "features.28": "encoder.4.4"}),
        # vgg16_bn().features: a convolution at 40, its norm at 41.
        ("chen", {"batch_norm": True}, {"features.0": "encoder.0.0", "features.40": "encoder.4.6"}),
        (
            "he",
            {},
            {
                "features.conv0": "encoder.stages.0.0",
                "features.denseblock1.denselayer1.norm.1": "encoder.stages.0.4.body.0",  # before 2018
                "features.denseblock4.denselayer32.conv2": "encoder.stages.3.35.body.5",
                "features.transition3.norm": "encoder.stages.3.0",
                "features.transition3.conv": "encoder.stages.3.2",
            },
        ),
        (
            "mb-dcnn",
            {},
            {
                "conv1": "classifier.features.stem.0",
                "block1.rep.0.conv1": "classifier.features.stem.6.body.1",
                "block2.rep.4.pointwise": "classifier.features.stem.7.body.6",
                "block11.rep.8": "classifier.features.stem.16.body.11",
                "block12.rep.5": "classifier.features.body.7",
                "block12.skipbn": "classifier.features.shortcut.1",
                "bn4": "classifier.features.exit.6",
            },
        ),
        (
            "mb-dcnn",
            {},
            {
                "stem.0.conv": "coarse.backbone.stem.0",
                "blocks.0.shortcut.bn": "coarse.backbone.entry1.shortcut.1",
                "blocks.18.stack.conv3.bn_pw": "coarse.backbone.middle.15.last.4",
                "blocks.19.stack.conv2.conv_pw": "coarse.backbone.exit.0.widening.8",
                "blocks.20.stack.conv3.bn_dw": "coarse.backbone.exit.14",
            },
        ),
    ],
    ids=["VGG-16", "VGG-16 with batch norm", "DenseNet-201", "Xception", "Xception-65"],
)
def test_published_names_lead_to_their_layers(
    tmp_path: Path, name: str, options: dict[str, Any], names: dict[str, str]
) -> None:
    network = narrow(name, **options)
    tensors = renamed(network, names)
    report = load_encoder(network, saved(tmp_path, tensors))
    assert not report.unused
    state = network.state_dict()
    for theirs, ours in names.items():
        assert torch.equal(state[f"{ours}.weight"], tensors[f"{theirs}.weight"]), theirs


def test_both_segmentation_networks_of_mb_dcnn_start_alike_and_the_classifier_is_named(tmp_path: Path) -> None:
    network = narrow("mb-dcnn")
    report = load_encoder(network, saved(tmp_path, renamed(network, {"stem.1.conv": "coarse.backbone.stem.3"})))
    assert torch.equal(network.coarse.backbone.stem[3].weight, network.enhanced.backbone.stem[3].weight)
    assert report.notes[-1] == "classifier.features (Xception) starts at random: no name fits"


def test_the_mask_channel_of_the_mask_guided_classifier_stays_random(tmp_path: Path) -> None:
    network = narrow("mb-dcnn", backbone="resnet50")
    mask_channel = network.classifier.features.stem[0].weight[:, 3:].detach().clone()
    tensors = resnet50()
    load_encoder(network, saved(tmp_path, tensors))
    expected = torch.cat([tensors["conv1.weight"], mask_channel], dim=1)
    assert torch.equal(network.classifier.features.stem[0].weight, expected)


def changed(**tensors: Tensor) -> dict[str, Tensor]:
    return resnet50() | {key.replace("_", "."): value for key, value in tensors.items()}


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mmran", resnet50(), "MMRAN has no encoder that is one of DenseNet-201, ResNet-50, VGG-16, Xception"),
        ("resnet-50", {"blocks.0.weight": torch.ones(1)}, "none of its 1 names, such as 'blocks.0.weight', is one of"),
        ("resnet-50", changed(layer1_0_conv1_weight=torch.ones(4, 4, 3, 3)), r"is (4, 4, 3, 3), expected (4, 4, 1, 1)"),
        ("resnet-50", changed(conv1_weight=torch.ones(64, 3, 7, 7)), r"is (64, 3, 7, 7), expected (4, 1, 7, 7)"),
        ("resnet-50", changed(bn1_bias=torch.full((4,), torch.nan)), "bn1.bias has values that are not finite"),
        ("resnet-50", [1, 2], "holds no tensors by name"),
        ("resnet-50", nn.Linear(1, 1), "not a file of weights"),
        ("resnet-50", b"PK no archive", "not a file of weights"),
        ("resnet-50", b"12345678{broken", "not a file of weights"),
        ("resnet-50", None, "cannot be read (No such file or directory)"),
    ],
)
def test_a_file_that_does_not_fit_is_one_line(
    tmp_path: Path, device: str, name: str, content: Any, message: str
) -> None:
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        saved(tmp_path, content)
    with torch.device(device):
        network = narrow(name)
    with pytest.raises(UserError, match=re.escape(message)) as error:
        load_encoder(network, path)
    assert str(error.value).startswith(f"network.encoder_weights: {path}: ")
    assert "\n" not in str(error.value)


def test_several_channels_share_the_weights_of_color_so_that_equal_ones_make_what_gray_makes(tmp_path: Path) -> None:
    path, image = saved(tmp_path, resnet50()), torch.rand(1, 1, 64, 64)
    gray, four, color = narrow("resnet-50"), narrow("resnet-50", channels=4), narrow("resnet-50", channels=3)
    load_encoder(gray, path)
    report = load_encoder(four, path)
    assert "conv1.weight: each of the 4 channels has a share of the sum of its 3 input channels" in report.notes
    expected = gray.features(image)
    torch.testing.assert_close(four.features(image.expand(-1, 4, -1, -1)), expected, rtol=1e-4, atol=1e-5)
    # Three channels are taken as red, green, and blue.
    assert not [note for note in load_encoder(color, path).notes if "conv1" in note]
    torch.testing.assert_close(color.features(image.expand(-1, 3, -1, -1)), expected, rtol=1e-4, atol=1e-5)


def test_the_mask_channel_stays_random_beside_several_channels(tmp_path: Path) -> None:
    network = narrow("mb-dcnn", backbone="resnet50", channels=2)
    tensors = resnet50()
    start = network.classifier.features.stem[0].weight.detach().clone()
    report = load_encoder(network, saved(tmp_path, tensors))
    weight = network.classifier.features.stem[0].weight
    share = tensors["conv1.weight"].sum(1) / 2
    assert torch.equal(weight[:, 0], share)
    assert torch.equal(weight[:, 1], share)
    assert torch.equal(weight[:, 2], start[:, 2])
    assert any("the network's input channels after its 2 start at random" in note for note in report.notes)
