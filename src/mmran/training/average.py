"""An exponential moving average of a network's weights, which is evaluated in their place."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    """The average over the steps of one stage: average <- d average + (1 - d) weights.

    d is `training.ema_decay`, and less in the first steps, (1 + n) / (10 + n) after n steps, so that the random
    start does not dominate a short training. Running statistics of batch norm are averaged too; integers are copied.

    Source: the decay of the first steps is that of TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Start at the network's weights.

        Args:
            network: what is averaged.
            decay: d, between 0 and 1.
        """
        self._decay, self._n_steps = decay, 0
        self.weights: dict[str, Tensor] = {key: value.detach().clone() for key, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Add the weights after a step."""
        self._n_steps += 1
        decay = min(self._decay, (1 + self._n_steps) / (10 + self._n_steps))
        for key, value in network.state_dict().items():
            mean = self.weights[key]
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)

    @contextlib.contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        """Give the network the averaged weights while the block runs."""
        own = {key: value.detach().clone() for key, value in network.state_dict().items()}
        network.load_state_dict(self.weights)
        try:
            yield
        finally:
            network.load_state_dict(own)

    def state(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {"n_steps": self._n_steps, "weights": self.weights}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`.

        Raises:
            KeyError, RuntimeError: the state is that of another network.
        """
        self._n_steps = int(state["n_steps"])
        for key, value in self.weights.items():
            value.copy_(state["weights"][key])
