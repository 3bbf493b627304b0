"""Datta et al. 2021: a classifier, ResNet-50 with soft attention on its last maps."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmran.networks.blocks import grid_max, scaled
from mmran.networks.output import Network, NetworkOutput
from mmran.networks.resnet import ResNet50Features

POOLED = 3
"""Side of the grid that the linear layer sees: the authors' map of 7 pixels at an image size of 224, halved."""


class SoftAttention(nn.Module):
    """Weight features by the sum of several attention maps, each a softmax over the pixels.

    (B, C, H, W) -> (B, C, H, W), scaled by a learned number.

    Source: Datta et al. 2021, section 2.

    Args:
        channels: C.
        maps: number of attention maps.
    """

    def __init__(self, channels: int, maps: int):
        super().__init__()
        self.maps = nn.Conv2d(channels, maps, kernel_size=3, padding=1)
        self.gamma = nn.Parameter(torch.full((1,), 0.01))

    def forward(self, x: Tensor) -> Tensor:
        """Features to attended features."""
        scores = torch.relu(self.maps(x)).flatten(2)  # (B, maps, H W)
        weights = scores.softmax(dim=2).sum(dim=1)  # (B, H W)
        return self.gamma * x * weights.view(x.shape[0], 1, *x.shape[2:])


class SoftAttentionResNet50(Network):
    """ResNet-50 features and their attended copy, concatenated, pooled, and classified by one linear layer.

    23,907,284 parameters (Table 3: 23.91 million). (B, C, H, W) -> class_logits (B, K), for any H and W
    divisible by 32. Images of 192 pixels or more fill the 3 x 3 grid; at 96 pixels and less its nine bins
    repeat one pixel.

    Source: Datta et al. 2021.
    Deviates: adaptive pooling to 3 x 3 keeps the size of the linear layer at any image size; at the authors'
    224 pixels it changes nothing. Dropout follows this pooling: before it, the maxima of a larger map would be larger
    in training than in evaluation. The stem takes one gray channel, which gives the count of Table 3.

    Args:
        width: channel multiplier; 1.0 is the published network.
        n_classes: number of classes, K.
        channels: C, channels of the images.
    """

    stride = 32
    tasks = ("classification",)
    recipe = "mmran.training.multitask:Multitask"

    def __init__(self, *, width: float = 1.0, n_classes: int = 3, channels: int = 1):
        super().__init__()
        self.channels = channels
        self.features = ResNet50Features(channels, width=width, bias=False)
        self.attention = SoftAttention(self.features.channels, scaled(16, width))
        self.dropout = nn.Dropout(0.5)
        self.class_head = nn.Linear(2 * self.features.channels * POOLED**2, n_classes)

    def forward(self, images: Tensor) -> NetworkOutput:
        """Classify."""
        deep = self.features(images)
        both = torch.cat([_halve(deep), _halve(self.attention(deep))], dim=1)  # (B, 4096, H/64, W/64)
        pooled = grid_max(torch.relu(both), POOLED)
        return NetworkOutput(class_logits=self.class_head(self.dropout(pooled).flatten(1)))


def _halve(x: Tensor) -> Tensor:
    """Maxima over 2 x 2 pixels; a side of one pixel stays, so that small images pass."""
    return functional.max_pool2d(x, tuple(min(2, side) for side in x.shape[2:]))
