"""Masks of every segmenting network start at a given tumor probability, and as torch draws them without one."""

from math import log

import pytest
import torch

from mmran.errors import UserError
from mmran.networks import build
from tests.contract.registry import CONFIGURED, SEGMENTING, images_of, small

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", SEGMENTING)
class TestMaskPrior:
    @pytest.mark.parametrize("prior", [0.02, 0.7])
    def test_untrained_masks_start_near_it(self, name, prior):
        network = small(name, {}, mask_prior=prior)
        with torch.no_grad():
            mean = network(images_of(64, 64)).mask_logits.mean().item()
        # The untrained weights add their own mean, which is largest in RV-GAN: -2.2 at this width.
        assert mean == pytest.approx(log(prior / (1 - prior)), abs=2.5)

    def test_only_the_start_of_the_masks_differs_from_torchs_own(self, name):
        own, started = small(name, {}).state_dict(), small(name, {}, mask_prior=0.02).state_dict()
        differing = [key for key in own if not torch.equal(own[key], started[key])]
        assert differing
        assert all(own[key].numel() <= 2 for key in differing)

    def test_weights_carry_the_start_into_a_network_built_without_it(self, name):
        started, loaded = small(name, {}, mask_prior=0.02).eval(), small(name, {}, seed=1).eval()
        loaded.load_state_dict(started.state_dict())
        with torch.no_grad():
            torch.testing.assert_close(loaded(images_of(64, 64)), started(images_of(64, 64)), rtol=0, atol=0)


@pytest.mark.parametrize("prior", [0, 1, 0.0, 1.0, -0.1, 2.0, float("nan"), "data"])
def test_prior_that_is_no_probability_is_one_line(prior):
    with pytest.raises(UserError, match=r"^network.mask_prior: .* is not a number between 0 and 1.*null.*$"):
        build("mmran", width=0.01, mask_prior=prior)


def test_classifiers_ignore_it():
    with torch.no_grad():
        started = small("resnet-50", {}, mask_prior=0.02).eval()(images_of(32, 32))
        torch.testing.assert_close(started, small("resnet-50", {}).eval()(images_of(32, 32)), rtol=0, atol=0)


def test_paper_starts_every_network_at_the_share_of_the_data_but_the_one_that_it_stops():
    assert {name for name, spec in CONFIGURED.items() if spec.mask_prior != "data"} == {"chen"}
    assert CONFIGURED["chen"].mask_prior is None
