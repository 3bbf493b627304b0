"""Networks trained in several stages, or as a game, resume as exactly as the others."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.unit.training.trials import Stopped, equal, only_trial, stop_after, train

pytestmark = pytest.mark.slow

EPOCHS = 3
RECIPES = [
    pytest.param("y-net", 32, id="y-net, two stages"),
    pytest.param("rv-gan", 32, id="rv-gan, a game"),
    pytest.param("mb-dcnn", 32, id="mb-dcnn, three stages"),
]


def changes(network: str, size: int) -> dict[str, Any]:
    return {
        "network": {"name": network, "width": 0.0625, "attention": None},
        "input": {"size": size},
        "training": {"epochs": EPOCHS, "learning_rate": 1e-4, "checkpoint_minutes": 0},
    }


@pytest.mark.parametrize(("network", "size"), RECIPES)
def test_killed_in_any_stage_it_ends_in_the_same_bits(tiny: Path, tmp_path: Path, network: str, size: int) -> None:
    whole = only_trial(tiny, tmp_path / "whole", **changes(network, size))
    expected = train(whole)
    found = only_trial(tiny, tmp_path / "killed", **changes(network, size))
    for epoch in range(EPOCHS):
        with pytest.raises(Stopped):
            train(found, on_epoch=stop_after(epoch))
    assert equal(train(found), expected)
    history = pd.read_csv(found.folder / "history.csv")
    assert history["epoch"].tolist() == list(range(EPOCHS))
    assert history["stage"].nunique() == {"y-net": 2, "rv-gan": 1, "mb-dcnn": 3}[network]
    assert history["loss"].notna().all()
