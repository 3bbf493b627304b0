"""Datta et al.: what the linear layer sees in training and in evaluation."""

import pytest
import torch
from torch import Tensor, nn

from mmran.networks import build


class Deep(nn.Module):
    """Stands for the ResNet: deep maps of noise at a thirty-second of the size."""

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor:
        batch, _, height, width = images.shape
        noise = torch.Generator().manual_seed(0)
        return torch.rand(batch, self.channels, height // 32, width // 32, generator=noise)


@pytest.mark.parametrize("size", [224, 512])
def test_dropout_keeps_the_mean_of_what_the_linear_layer_sees_at_any_size(size: int) -> None:
    # Dropout before the maxima over 3 x 3 bins had raised it by half at 512 pixels.
    torch.manual_seed(0)
    network = build("datta", width=1 / 16)
    network.features = Deep(network.features.channels)
    seen: list[Tensor] = []
    network.class_head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for training in (True, False):
        network.train(training)
        with torch.no_grad():
            network(torch.zeros(16, 1, size, size))
    trained, evaluated = (x.mean().item() for x in seen)
    assert trained == pytest.approx(evaluated, rel=0.05)
