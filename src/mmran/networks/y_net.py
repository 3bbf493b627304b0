"""Y-Net: a segmentation network with a diagnosis branch on its deepest features."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmran.networks.blocks import as_color, color_channels, conv_block, conv_bn, scaled
from mmran.networks.output import Network, NetworkOutput
from mmran.networks.resize import pool_average, resize_bilinear

POOLED_SHARES = (5 / 6, 2 / 3, 1 / 2, 3 / 8)
"""Side of each pooled map of a pyramid, as a share of the map's side. The authors give pixels, for images of 384."""


class YNet(Network):
    """Segmentation part and diagnosis branch. The recipe trains the segmentation part alone, then both.

    (B, C, H, W) -> mask_logits (B, 1, H, W), class_logits (B, K), for any H and W divisible by 8.
    9,110,307 parameters.

    Source: Mehta et al. 2018, the variant with residual convolutional blocks and 8 tissue channels, which gives
    Table 3's 9.11 million.
    Deviates: batch normalization has torch's default constants; with the authors' momentum of .95, the last batch alone
    would make the running statistics. Pooled sizes follow the map, so that images of any size pass.

    Args:
        width: channel multiplier; 1.0 is the published network.
        n_classes: number of classes, K.
        channels: C, channels of the images.

    Raises:
        UserError: width is not a positive number.
    """

    stride = 8
    tasks = ("segmentation", "classification")
    recipe = "mmran.training.staged:Staged"

    def __init__(self, *, width: float = 1.0, n_classes: int = 3, channels: int = 1):
        super().__init__()
        self.channels = channels
        c64, c128 = scaled(64, width), scaled(128, width)
        self.segmentation = Segmentation(width, channels)
        self.diagnosis = nn.Sequential(
            DownStage(self.segmentation.features, c128, n_blocks=2),
            DownStage(2 * c128, c64, n_blocks=2),
        )
        # The authors' code has no activation between the two.
        self.class_head = nn.Sequential(nn.Linear(2 * c64, c64), nn.Linear(c64, n_classes))

    def forward(self, images: Tensor) -> NetworkOutput:
        """Segment and classify."""
        mask_logits, deepest = self.segmentation(images)
        features = self.diagnosis(deepest)  # (B, 128, H/32, W/32)
        return NetworkOutput(mask_logits, self.class_head(features.mean(dim=(2, 3))))

    def start_masks(self, logit: float) -> None:
        """Set the offset of the tumor's logit."""
        self.segmentation.start_masks(logit)


class Segmentation(nn.Module):
    """Encoder of three levels and decoder of three pyramid poolings.

    (B, C, H, W) -> mask_logits (B, 1, H, W) and the encoder's last map (B, 512, H/8, W/8).

    Source: Mehta et al. 2018; pyramid pooling: Zhao et al. 2017.
    """

    def __init__(self, width: float, channels: int = 1):
        super().__init__()
        tissues, c16, c64, c128, c256 = (scaled(n, width) for n in (8, 16, 64, 128, 256))
        self.features = 2 * c256
        """Channels of the encoder's last map."""
        self.tissues = tissues

        self.level1 = nn.Sequential(*conv_block(color_channels(channels), c16, kernel=7, stride=2, bias=False))
        self.level2 = DownStage(c16, c128, n_blocks=2)
        self.level3 = DownStage(2 * c128, c256, n_blocks=5)
        self.decoder3 = nn.Sequential(
            PyramidPooling(2 * c256, c128),
            *conv_block(2 * c256 + 4 * c128, c128, kernel=1, bias=False),
            *conv_block(c128, tissues, bias=False),
            *conv_block(tissues, tissues, kernel=1, bias=False),
        )
        self.decoder2 = nn.Sequential(
            PyramidPooling(tissues + 2 * c128, c64),
            *conv_block(tissues + 2 * c128 + 4 * c64, tissues, bias=False),
            *conv_block(tissues, tissues, kernel=1, bias=False),
        )
        self.decoder1 = nn.Sequential(
            PyramidPooling(tissues + c16, tissues),
            *conv_block(5 * tissues + c16, tissues, bias=False),
            nn.Conv2d(tissues, tissues, kernel_size=7, padding=3, bias=False),
        )
        # The last convolution has no bias. A buffer keeps the published parameter count.
        self.tumor_offset: Tensor
        self.register_buffer("tumor_offset", torch.zeros(()))

    def start_masks(self, logit: float) -> None:
        """Set the offset. Of n equally likely tissues, each has log-odds of -log(n - 1)."""
        self.tumor_offset.fill_(logit + math.log(self.tissues - 1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Segment."""
        x1 = self.level1(as_color(images))  # (B, 16, H/2, W/2)
        x2 = self.level2(x1)  # (B, 256, H/4, W/4)
        x3 = self.level3(x2)  # (B, 512, H/8, W/8)
        tissues = doubled(self.decoder3(x3))
        tissues = doubled(self.decoder2(torch.cat([tissues, x2], dim=1)))
        tissues = doubled(self.decoder1(torch.cat([x1, tissues], dim=1)))  # (B, 8, H, W)
        return tumor_logits(tissues) + self.tumor_offset, x3


def tumor_logits(tissues: Tensor) -> Tensor:
    """The log-odds of tissue 1, the tumor, against all others; their sigmoid is the tumor's softmax probability.

    Tissue 0 is background. The authors' data had six more tissues, which this data set lacks.

    Args:
        tissues: (B, 8, H, W) logits.

    Returns:
        (B, 1, H, W), at least float32.
    """
    tissues = tissues.to(torch.promote_types(tissues.dtype, torch.float32))
    others = torch.cat([tissues[:, :1], tissues[:, 2:]], dim=1)
    return tissues[:, 1:2] - others.logsumexp(dim=1, keepdim=True)


def doubled(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2H, 2W), bilinear."""
    return resize_bilinear(x, (2 * x.shape[-2], 2 * x.shape[-1]))


class DownStage(nn.Module):
    """Halve the size, refine in residual blocks, and concatenate both maps.

    (B, in, H, W) -> (B, 2 C, H/2, W/2), odd sizes rounded up.

    Args:
        in_channels: of x.
        channels: C.
        n_blocks: residual blocks.
    """

    def __init__(self, in_channels: int, channels: int, n_blocks: int):
        super().__init__()
        self.down = nn.Sequential(*conv_block(in_channels, channels, stride=2, bias=False))
        self.refine = nn.Sequential(*(IdentityResidual(channels) for _ in range(n_blocks)))
        self.norm = nn.Sequential(nn.BatchNorm2d(2 * channels), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """Downsample x."""
        down = self.down(x)
        return self.norm(torch.cat([down, self.refine(down)], dim=1))


class IdentityResidual(nn.Module):
    """ReLU(x + two 3 x 3 convolutions of x), no bias. (B, C, H, W) -> (B, C, H, W).

    Source: He et al. 2016.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(*conv_block(channels, channels, bias=False), *conv_bn(channels, channels, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Refine x."""
        return torch.relu(x + self.body(x))


class PyramidPooling(nn.Module):
    """Concatenate four averaged, projected and upsampled copies of a map to the map.

    (B, in, H, W) -> (B, in + 4 C, H, W).

    Source: Zhao et al. 2017.

    Args:
        in_channels: of x.
        channels: C, of each copy.
        shares: side of each average-pooled copy as a share of the map's, rounded to whole pixels.
    """

    def __init__(self, in_channels: int, channels: int, shares: Sequence[float] = POOLED_SHARES):
        super().__init__()
        self.shares = tuple(shares)
        self.branches = nn.ModuleList(
            nn.Sequential(*conv_block(in_channels, channels, kernel=1, bias=False)) for _ in shares
        )

    def forward(self, x: Tensor) -> Tensor:
        """Pool at every share and concatenate."""
        height, width = x.shape[-2:]
        copies = []
        for share, branch in zip(self.shares, self.branches, strict=True):
            pooled = pool_average(x, (max(1, round(share * height)), max(1, round(share * width))))
            copies.append(resize_bilinear(branch(pooled), (height, width)))
        return torch.cat([x, *copies], dim=1)
