"""Transforms from outside: what they get, and what they may return."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mmran.data.transforms import apply_transforms, try_transforms
from mmran.errors import UserError


def batch() -> tuple[Tensor, Tensor]:
    return torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4)


def noisy(images: Tensor, masks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return images + torch.rand(images.shape, generator=generator), masks


def doubled(images: Tensor, masks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return 2 * images, masks


def drawn(seed: int = 1, epoch: int = 0, first: int = 7) -> Tensor:
    return apply_transforms(*batch(), [first, 3], seed, epoch, {"m:noisy": noisy})[0]


def test_the_generator_follows_seed_epoch_and_slices_alone() -> None:
    assert torch.equal(drawn(), drawn())
    for other in (drawn(seed=2), drawn(epoch=1), drawn(first=8)):
        assert not torch.equal(drawn(), other)


def test_transforms_follow_one_another_in_order() -> None:
    # Noise, then doubled; the other order would not double the noise.
    images, masks = apply_transforms(*batch(), [7, 3], 1, 0, {"m:noisy": noisy, "m:doubled": doubled})
    assert torch.equal(images, 2 * drawn())
    assert torch.equal(masks, batch()[1])


def test_one_that_fits_passes_the_trial() -> None:
    try_transforms(16, {"m:noisy": noisy})


WRONG: dict[str, tuple[Any, str]] = {
    "one tensor": (lambda x, y, g: x, "returns a Tensor, expected a pair"),
    "nothing": (lambda x, y, g: None, "returns a NoneType, expected a pair"),
    "an array": (lambda x, y, g: (x.numpy(), y), "returns images as a ndarray, expected a tensor"),
    "another size": (lambda x, y, g: (x[..., 1:], y), r"returns images of \(2, 1, 16, 15\)"),
    "another type": (lambda x, y, g: (x, y.bool()), r"returns masks of \(2, 1, 16, 16\) torch.bool on cpu, expected"),
    "blurred masks": (lambda x, y, g: (x, y / 2), "returns masks with values between 0 and 1"),
    "NaN": (lambda x, y, g: (x / 0, y), "returns images that are not finite"),
    "an error": (lambda x, y, g: x.nonsense(), r"fails on a batch of \(2, 1, 16, 16\) \(AttributeError: "),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_one_line(case: str) -> None:
    transform, message = WRONG[case]
    with pytest.raises(UserError, match=rf"^augmentation\.extra: m:wrong {message}") as error:
        try_transforms(16, {"m:wrong": transform})
    assert "\n" not in str(error.value)


def test_a_batch_of_another_form_stops_the_training_too() -> None:
    with pytest.raises(UserError, match="returns images of"):
        apply_transforms(*batch(), [7, 3], 1, 0, {"m:cropped": lambda x, y, g: (x[..., 1:], y)})
