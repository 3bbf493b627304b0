"""Batches and micro-batches of one slice, which batch norm cannot take at maps of one pixel (by hand)."""

import dataclasses

import pytest
import torch

from mmran.data.batches import ResidentSlices, iterate
from mmran.errors import UserError
from mmran.training.preflight import check_options, check_single_slices
from mmran.training.recipe import micro_batch_count
from tests.unit.training.trials import experiment


def sizes(n: int, batch_size: int, merge_single: bool = True) -> list[int]:
    slices = ResidentSlices(
        torch.zeros(n, 1, 2, 2, dtype=torch.uint8),
        torch.zeros(n, 2, 2, dtype=torch.uint8),
        torch.zeros(n, dtype=torch.int64),
        torch.arange(n),
        torch.zeros(n, 1),
        torch.ones(n, 1),
    )
    options = {"seed": 0, "epoch": 0, "augmentation": None, "shuffle": True}
    batches = iterate(slices, batch_size=batch_size, merge_single=merge_single, **options)
    seen = [len(batch.labels) for batch in batches]
    assert sum(seen) == n
    return seen


@pytest.mark.parametrize(
    ("n", "batch_size", "expected"),
    [(21, 10, [10, 11]), (22, 10, [10, 10, 2]), (3, 2, [3]), (1, 10, [1]), (3, 1, [1, 1, 1]), (20, 10, [10, 10])],
)
def test_a_last_batch_of_one_slice_joins_the_one_before(n: int, batch_size: int, expected: list[int]) -> None:
    assert sizes(n, batch_size) == expected


def test_validation_and_prediction_keep_their_batches() -> None:
    assert sizes(21, 10, merge_single=False) == [10, 10, 1]


@pytest.mark.parametrize(
    ("n", "batch_size", "accumulate", "count"),
    [
        (10, 10, 1, 1),
        (10, 10, 2, 2),
        (10, 10, 3, 3),  # 4 + 3 + 3
        (11, 10, 1, 2),  # 6 + 5: no more memory than a full batch
        (2, 10, 2, 1),  # not 1 + 1
        (3, 4, 2, 1),  # 2 + 1 would leave one alone
        (10, 10, 10, 10),  # asked for
        (7, 10, 10, 7),
    ],
)
def test_micro_batches_are_no_larger_than_asked_for_and_leave_no_slice_alone(
    n: int, batch_size: int, accumulate: int, count: int
) -> None:
    assert micro_batch_count(n, batch_size, accumulate) == count


def test_a_batch_size_of_one_is_refused_before_the_first_step_where_batch_norm_cannot_take_it() -> None:
    # The deepest maps of res-unet at stride 16 are one pixel at 16 px, and two by two at 32 px.
    one = {"training": {"batch_size": 1}, "network": {"name": "mmran", "attention": "none"}}
    with pytest.raises(UserError, match=r"training\.batch_size 1 and .* at input\.size 16; use two slices or more"):
        check_single_slices(experiment(**one, input={"size": 16}))
    check_single_slices(experiment(**one, input={"size": 64}))
    check_single_slices(experiment(input={"size": 16}, network={"attention": "none"}))


def test_a_single_training_slice_is_named_as_the_cause() -> None:
    with pytest.raises(UserError, match="a training side of one slice leave"):
        check_single_slices(experiment(input={"size": 16}, network={"attention": "none"}), n=1)


@pytest.mark.parametrize(
    ("key", "value"),
    [("learning_rate", float("nan")), ("learning_rate", float("inf")), ("epochs", 0), ("accumulate", 0)],
)
def test_numbers_that_no_training_can_use_are_one_line(key: str, value: float) -> None:
    found = experiment()
    bad = dataclasses.replace(found, training=dataclasses.replace(found.training, **{key: value}))
    with pytest.raises(UserError, match=rf"^training\.{key}: {value} is not"):
        check_options(bad)
