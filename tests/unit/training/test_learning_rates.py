"""The learning rate of each epoch."""

from typing import Any

import pytest

from mmran.config.experiment import Training
from mmran.errors import UserError
from mmran.training.learning_rates import learning_rate_share
from tests.paper import DEFAULTS


def shares(n_epochs: int, **changes: Any) -> list[float]:
    options = Training(**DEFAULTS["training"] | changes)
    return [learning_rate_share(options, epoch, n_epochs) for epoch in range(n_epochs)]


def test_the_paper_keeps_the_learning_rate() -> None:
    assert shares(3) == [1, 1, 1]


def test_a_cosine_falls_from_the_whole_rate_toward_zero() -> None:
    # (1 + cos(pi e / 4)) / 2 at e = 0, 1, 2, 3; cos(pi / 4) = .70711
    assert shares(4, learning_rate_schedule="cosine") == pytest.approx([1, 0.85355, 0.5, 0.14645], abs=1e-5)


def test_warm_up_rises_in_equal_steps_and_the_schedule_follows_it() -> None:
    # thirds before the whole rate; then a cosine over the two epochs that are left
    assert shares(4, learning_rate_schedule="cosine", warmup_epochs=2) == pytest.approx([1 / 3, 2 / 3, 1, 0.5])


def test_a_stage_shorter_than_the_warm_up_ends_before_the_whole_rate() -> None:
    assert shares(2, learning_rate_schedule="cosine", warmup_epochs=3) == [0.25, 0.5]


def test_a_schedule_from_outside_is_a_function_of_epoch_and_epochs() -> None:
    assert shares(4, learning_rate_schedule="operator:truediv") == [0, 0.25, 0.5, 0.75]


def test_an_unknown_schedule_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match=r"training\.learning_rate_schedule: 'cosin' is unknown; did you mean 'cosine'"):
        shares(2, learning_rate_schedule="cosin")
