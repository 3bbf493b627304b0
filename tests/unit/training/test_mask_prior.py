"""Where the masks of a training start: worked out from the training side, a number, or torch's own."""

import json
from pathlib import Path

import pytest
import torch

from mmran.config.experiment import NetworkSpec
from mmran.data.batches import ResidentSlices
from mmran.errors import UserError
from mmran.training.device import Compute
from mmran.training.mask_prior import choose_mask_prior
from mmran.training.recipe import make_recipe
from mmran.training.run import run_trial
from tests.unit.training.trials import experiment, only_trial

CPU = Compute(torch.device("cpu"), torch.float32, 1)


def slices_with(tumor_pixels: int) -> ResidentSlices:
    """Two slices of 4 x 4 pixels, so many of them tumor."""
    masks = (torch.arange(32) < tumor_pixels).to(torch.uint8).view(2, 4, 4)
    zeros = torch.zeros(2)
    return ResidentSlices(masks[:, None], masks, zeros.long(), zeros.long(), zeros[:, None], zeros[:, None] + 1)


def spec(prior: float | str | None = None, name: str = "mmran") -> NetworkSpec:
    return NetworkSpec(name, 0.0625, mask_prior=prior)


@pytest.mark.parametrize(("prior", "expected"), [("data", 3 / 32), (0.25, 0.25), (None, None)])
def test_prior_is_the_share_of_tumor_pixels_or_the_number_or_nothing(prior, expected):
    assert choose_mask_prior(spec(prior), slices_with(3)) == expected


def test_network_without_one_and_classifiers_have_none():
    assert choose_mask_prior(spec(), slices_with(3)) is None
    assert choose_mask_prior(spec("data", "resnet-50"), slices_with(3)) is None


@pytest.mark.parametrize("tumor_pixels", [0, 32])
def test_training_side_without_tumor_or_without_background_is_one_line(tumor_pixels):
    with pytest.raises(UserError, match=rf"^network.mask_prior: data: {tumor_pixels} of .* 32 pixels are tumor.*$"):
        choose_mask_prior(spec("data"), slices_with(tumor_pixels))
    assert choose_mask_prior(spec(0.1), slices_with(tumor_pixels)) == 0.1


def test_head_of_the_built_network_starts_at_its_log_odds():
    recipe = make_recipe(experiment(), CPU, mask_prior=0.2)
    assert recipe.network.mask_head.bias.item() == pytest.approx(-1.3862944)  # log(.2 / .8) = -log 4


@pytest.mark.slow
def test_trial_records_the_share_of_its_training_side(tiny: Path, tmp_path: Path) -> None:
    found = only_trial(tiny, tmp_path, network={"mask_prior": "data"}, training={"epochs": 1, "precision": "float32"})
    folder = run_trial(found, gpu=False, threads=1, log=lambda line: None)
    record = json.loads((folder / "run.json").read_text())
    # Lesions of the synthetic slices fill a few percent.
    assert 0.005 < record["mask_prior"] < 0.1
    plain = only_trial(tiny, tmp_path, training={"epochs": 1, "precision": "float32"})
    record = json.loads((run_trial(plain, gpu=False, threads=1, log=lambda line: None) / "run.json").read_text())
    assert record["mask_prior"] is None
