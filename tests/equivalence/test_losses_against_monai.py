"""Our losses and MONAI's where the two define the same thing."""

import pytest
import torch
from monai.losses import DiceLoss, FocalLoss

from mmran.training.losses import dice_loss, focal_loss


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1029)


def masks_and_logits() -> tuple[torch.Tensor, torch.Tensor]:
    """Eight images, one of them without a tumor."""
    masks = (torch.rand(8, 1, 40, 56, generator=generator()) < 0.2).float()
    masks[3] = 0
    return masks, 3 * torch.randn(8, 1, 40, 56, generator=generator())


def test_dice_and_its_slope_equal_monai_with_both_smoothing_terms_one():
    masks, logits = masks_and_logits()
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = dice_loss(ours, masks)
    reference = DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0)(theirs, masks)
    loss.backward()
    reference.backward()
    torch.testing.assert_close(loss, reference)
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_dice_as_printed_equals_monai_with_twice_the_smoothing_above():
    # 2 (I + 1) = 2 I + 2.
    masks, logits = masks_and_logits()
    reference = DiceLoss(sigmoid=True, smooth_nr=2.0, smooth_dr=1.0)(logits, masks)
    torch.testing.assert_close(dice_loss(logits, masks, reading="printed"), reference)


@pytest.mark.parametrize("alpha", [0.25, [0.2, 0.3, 0.5]])
@pytest.mark.parametrize("gamma", [0.5, 2.0, 3.0])
def test_focal_and_its_slope_equal_monai_with_softmax(alpha, gamma):
    scores = 2 * torch.randn(64, 3, generator=generator())
    labels = torch.randint(0, 3, (64,), generator=generator())
    ours, theirs = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    loss = focal_loss(ours, labels, alpha=alpha, gamma=gamma)
    # With a scalar alpha MONAI's softmax variant spares class 0 as background, so it is given a list; and it
    # averages over the classes, of which all but the true one are zero: hence the 3.
    weights = [alpha] * 3 if isinstance(alpha, float) else alpha
    criterion = FocalLoss(to_onehot_y=True, use_softmax=True, gamma=gamma, weight=weights)
    reference = 3 * criterion(theirs, labels[:, None])
    loss.backward()
    reference.backward()
    torch.testing.assert_close(loss, reference)
    torch.testing.assert_close(ours.grad, theirs.grad)
