"""MB-DCNN (Xie et al. 2020): three networks in sequence, in one module.

A coarse segmentation network makes a mask, which guides a classifier. The classifier's activation map guides a second,
enhanced segmentation network.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmran.errors import UserError
from mmran.networks.blocks import as_color, color_channels, conv_bn, scaled, start_at
from mmran.networks.output import Network, NetworkOutput
from mmran.networks.resize import resize_bilinear
from mmran.networks.resnet import ResNet50Features
from mmran.networks.xception import Xception65, XceptionFeatures, separable_conv

BACKBONES = ("xception", "resnet50")
ASPP_DILATIONS = (6, 12, 18)


class PooledNorm(nn.BatchNorm2d):
    """Batch normalization of one value per image and channel, also for a batch of one image.

    A single value has no variance, so the running statistics normalize it, as in evaluation.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, 1, 1) normalized."""
        if self.training and len(x) == 1:
            return functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


def _conv3(in_channels: int, out_channels: int, separable: bool, dilation: int = 1) -> list[nn.Module]:
    if separable:
        convs = separable_conv(in_channels, out_channels, dilation=dilation)
    else:
        conv = nn.Conv2d(in_channels, out_channels, 3, padding=dilation, dilation=dilation)
        convs = [conv, nn.BatchNorm2d(out_channels)]
    return [*convs, nn.ReLU(inplace=True)]


def _conv1(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [*conv_bn(in_channels, out_channels, kernel=1), nn.ReLU(inplace=True)]


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: (B, in, H, W) -> (B, out, H, W).

    A 1 x 1 convolution, three dilated ones and the image's mean run in parallel; a 1 x 1 convolution mixes them.

    Source: Chen et al. 2018.
    """

    def __init__(self, in_channels: int, out_channels: int, separable: bool):
        super().__init__()
        self.branches = nn.ModuleList(
            [
                nn.Sequential(*_conv1(in_channels, out_channels)),
                *(
                    nn.Sequential(*_conv3(in_channels, out_channels, separable, dilation))
                    for dilation in ASPP_DILATIONS
                ),
            ]
        )
        self.image_branch = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1), PooledNorm(out_channels), nn.ReLU(inplace=True)
        )
        self.mix = nn.Sequential(*_conv1((len(self.branches) + 1) * out_channels, out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Run the branches and mix them."""
        image = self.image_branch(x.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        return self.mix(_concatenated([*(branch(x) for branch in self.branches), image]))


class DeepLabV3Plus(nn.Module):
    """A segmentation network (SN) of MB-DCNN: images (B, C, H, W) -> logits (B, 2, H, W), background, tumor.

    Source: Chen et al. 2018; Xie et al. 2020. With `guided`, an activation map is concatenated to the pyramid's output.
    Deviates: Xie et al. align corners when upsampling.

    Args:
        backbone: a name in `BACKBONES`.
        width: channel multiplier.
        guided: the enhanced network, not the coarse one.
        in_channels: C.
    """

    def __init__(self, backbone: str, width: float, guided: bool, in_channels: int = 3):
        super().__init__()
        separable = backbone == "resnet50"
        channels, skip = scaled(256, width), scaled(48, width)
        self.backbone: Xception65 | ResNet50Features = (
            ResNet50Features(in_channels, width=width, bias=False, output_stride=16)
            if backbone == "resnet50"
            else Xception65(in_channels, width=width)
        )
        self.aspp = ASPP(self.backbone.channels, channels, separable)
        self.dropout = nn.Dropout(0.5)
        self.guide = nn.Sequential(*_conv1(channels + 1, channels)) if guided else None
        self.skip = nn.Sequential(*_conv1(self.backbone.shallow_channels, skip))
        self.head = nn.Sequential(
            *_conv3(channels + skip, channels, separable),
            nn.Dropout(0.5),
            *_conv3(channels, channels, separable),
            nn.Dropout(0.1),
            nn.Conv2d(channels, 2, kernel_size=1),
        )

    def forward(self, images: Tensor, activation_map: Tensor | None = None) -> Tensor:
        """Segment.

        Args:
            images: (B, C, H, W).
            activation_map: (B, 1, h, w), if guided.
        """
        shallow, deep = self.backbone.shallow_and_deep(images)
        x = self.dropout(self.aspp(deep))  # (B, 256, H/16, W/16)
        if self.guide is not None:
            assert activation_map is not None
            x = self.guide(_concatenated([x, resize_bilinear(activation_map, _size(x)).to(x.dtype)]))
        x = torch.cat([resize_bilinear(x, _size(shallow)), self.skip(shallow)], dim=1)  # (B, 304, H/4, W/4)
        return resize_bilinear(self.head(x), _size(images))


class MaskGuidedClassifier(nn.Module):
    """The classification network (mask-CN) of MB-DCNN: Xception on the image and the coarse mask.

    (B, C, H, W), the mask in the last channel -> class logits (B, K) and the maps (B, 2048, H/16, W/16) whose means it
    classifies.

    Source: Xie et al. 2020.

    Args:
        backbone: a name in `BACKBONES`.
        width: channel multiplier.
        n_classes: K.
        in_channels: C, 4 for a color image.
    """

    def __init__(self, backbone: str, width: float, n_classes: int, in_channels: int = 4):
        super().__init__()
        self.features: XceptionFeatures | ResNet50Features = (
            ResNet50Features(in_channels, width=width, bias=False, output_stride=16)
            if backbone == "resnet50"
            else XceptionFeatures(in_channels, width=width)
        )
        self.class_head = nn.Linear(self.features.channels, n_classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Image and mask to class logits and maps."""
        maps = self.features(x)
        return self.class_head(maps.mean(dim=(2, 3))), maps

    def activation_map(self, class_logits: Tensor, maps: Tensor) -> Tensor:
        """Evidence for the predicted class at each pixel: (B, 1, h, w), maximum 1.

        Negative evidence stays, as in the authors' code. A map without a positive value is divided by its largest
        magnitude; the authors' code divides by a negative number or zero.

        Source: Zhou et al. 2016; Xie et al. 2020.

        Args:
            class_logits: (B, K).
            maps: (B, 2048, h, w).
        """
        weights = self.class_head.weight[class_logits.argmax(dim=1)]  # (B, 2048)
        evidence = torch.einsum("bc,bchw->bhw", weights, maps)[:, None]
        evidence = evidence.to(torch.promote_types(evidence.dtype, torch.float32))
        highest = evidence.amax(dim=(2, 3), keepdim=True)
        magnitude = evidence.abs().amax(dim=(2, 3), keepdim=True)
        return evidence / torch.where(highest > 0, highest, magnitude).clamp_min(1e-12)


class MBDCNN(Network):
    """Mutual bootstrapping: coarse segmentation, mask-guided classification, enhanced segmentation.

    130,297,295 parameters (Table 3: 26.72 million): 54,708,674 coarse, 20,813,387 classifier and 54,775,234
    enhanced. (B, C, H, W) -> mask_logits (B, 1, H, W), tumor minus background of the enhanced segmentation,
    and class_logits (B, K), for any H and W divisible by 16.

    Source: Xie et al. 2020.
    Deviates: Table 3 counts at most one of the three networks, or a lighter backbone: one segmentation network on
    `resnet50`, with separable convolutions in pyramid and head, has 26,678,658 (coarse) or 26,745,218 (enhanced). The
    coarse mask comes from the image alone; the authors add the logits of six rotated and flipped copies.

    Args:
        width: channel multiplier; 1.0 is the published network.
        backbone: "xception" or, for small GPUs, "resnet50".
        n_classes: number of classes, K.
        channels: C, channels of the images.

    Raises:
        UserError: the value of an option is invalid.
    """

    stride = 16
    tasks = ("segmentation", "classification")
    inseparable = True  # each of its networks guides the next one
    recipe = "mmran.training.mb_dcnn:Bootstrapping"

    def __init__(self, *, width: float = 1.0, backbone: str = "xception", n_classes: int = 3, channels: int = 1):
        super().__init__()
        self.channels = channels
        if backbone not in BACKBONES:
            raise UserError(f"network mb-dcnn, option backbone: {backbone!r} is not one of {', '.join(BACKBONES)}")
        n = color_channels(channels)
        self.coarse = DeepLabV3Plus(backbone, width, guided=False, in_channels=n)
        self.classifier = MaskGuidedClassifier(backbone, width, n_classes, in_channels=n + 1)
        self.enhanced = DeepLabV3Plus(backbone, width, guided=True, in_channels=n)

    def forward(self, images: Tensor) -> NetworkOutput:
        """Segment and classify: the whole sequence."""
        class_logits, maps = self.classify(images, self.coarse_mask(images))
        activation_map = self.classifier.activation_map(class_logits, maps)
        return NetworkOutput(self.enhanced_mask_logits(images, activation_map), class_logits)

    def start_masks(self, logit: float) -> None:
        """Set the biases of both segmentation networks; their difference is the mask logit."""
        for network in (self.coarse, self.enhanced):
            start_at(network.head[-1], logit)

    def coarse_mask_logits(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 1, H, W): tumor minus background."""
        return _difference(self.coarse(as_color(images)))

    def coarse_mask(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 1, H, W), 0 or 1, without a gradient."""
        return (self.coarse_mask_logits(images) >= 0).to(images.dtype)

    def classify(self, images: Tensor, coarse_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) and masks (B, 1, H, W) to class logits and maps; see `MaskGuidedClassifier`."""
        return self.classifier(torch.cat([as_color(images), coarse_mask], dim=1))

    def enhanced_mask_logits(self, images: Tensor, activation_map: Tensor) -> Tensor:
        """Images (B, C, H, W) and maps (B, 1, h, w) -> (B, 1, H, W): tumor minus background."""
        return _difference(self.enhanced(as_color(images), activation_map))

    def hand_on_weights(self) -> None:
        """Copy the coarse weights into the enhanced network; its guide keeps its own."""
        lacking, surplus = self.enhanced.load_state_dict(self.coarse.state_dict(), strict=False)
        assert not surplus
        assert all(key.startswith("guide.") for key in lacking)


def _concatenated(maps: list[Tensor]) -> Tensor:
    """Maps along their channels, in the memory format of the first: torch falls back to NCHW if one differs."""
    last = maps[0].is_contiguous(memory_format=torch.channels_last)
    return torch.cat(maps, dim=1).contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def _difference(logits: Tensor) -> Tensor:
    # The softmax of the second of two channels is the sigmoid of this.
    return logits[:, 1:] - logits[:, :1]


def _size(x: Tensor) -> tuple[int, int]:
    return x.shape[2], x.shape[3]
