"""The moving average of the weights."""

import torch
from torch import nn

from mmran.training.average import WeightAverage


def layer(value: float) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(1)
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        nn.init.constant_(tensor, value)
    return norm


def test_the_first_steps_forget_the_start_and_later_ones_keep_the_decay() -> None:
    norm = layer(0)
    average = WeightAverage(norm, 0.25)
    nn.init.constant_(norm.weight, 1)
    average.update(norm)  # decay min(.25, 2 / 11) = 2 / 11: 9 / 11 of the new weight
    assert torch.allclose(average.weights["weight"], torch.tensor([9 / 11]))
    average.update(norm)  # 3 / 12 = .25: 1 - .25 * 2 / 11
    assert torch.allclose(average.weights["weight"], torch.tensor([1 - 0.5 / 11]))


def test_running_statistics_are_averaged_and_counters_copied() -> None:
    norm = layer(0)
    average = WeightAverage(norm, 0.9)
    norm.running_mean.fill_(11)
    norm.num_batches_tracked.fill_(7)
    average.update(norm)
    assert torch.allclose(average.weights["running_mean"], torch.tensor([9.0]))
    assert int(average.weights["num_batches_tracked"]) == 7


def test_the_network_has_the_average_inside_the_block_and_its_own_weights_after_it() -> None:
    norm = layer(0)
    average = WeightAverage(norm, 0.5)
    nn.init.constant_(norm.weight, 1)
    with average.applied(norm):
        assert norm.weight.item() == 0
    assert norm.weight.item() == 1


def test_a_restored_average_continues_in_the_same_bits() -> None:
    norm = layer(0)
    whole = WeightAverage(norm, 0.9)
    nn.init.constant_(norm.weight, 1)
    whole.update(norm)
    again = WeightAverage(layer(5), 0.9)
    again.load(whole.state())
    nn.init.constant_(norm.weight, 2)
    whole.update(norm)
    again.update(norm)
    assert all(torch.equal(value, again.weights[key]) for key, value in whole.weights.items())
