"""Training on images of several channels, of which one alone shows the tumor."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from mmran.data.convert import convert
from mmran.data.protocol import Protocol
from mmran.data.splits import make_split
from mmran.errors import UserError
from mmran.files import write_text
from mmran.training.run import load_slices
from mmran.training.trial import Trial
from tests.own_data import draw_channels
from tests.unit.training.test_own_data import measured, trial_of

CHANNELS = ("t1", "t1ce", "t2", "flair")
CLASSES = ("upper", "lower")


def own(folder: Path, channels: Sequence[str], n: int = 60) -> None:
    """A store with some of the channels of drawn images, and a split of one fold."""
    source = draw_channels(folder / "own", CHANNELS, "t2", n=n)
    store = convert([source], folder / "data" / "slices.h5", classes=CLASSES, channels=channels)
    protocol = Protocol.from_values(
        {"method": "slice", "fractions": [0.6, 0.2, 0.2], "seed": 1, "stratify": True, "apart": "none"}, "protocol"
    )
    write_text(folder / "splits" / "paper.csv", make_split(store.index, protocol).to_csv(index=False))


def trial(folder: Path, channels: int, epochs: int = 40) -> Trial:
    network = {"width": 0.125, "attention": "none", "n_classes": 2} | ({"channels": channels} if channels > 1 else {})
    training = {"epochs": epochs, "batch_size": 6, "learning_rate": 1e-3}
    return trial_of(folder, network=network, training=training, schedule={"name": "fixed", "alpha": 0.5})


@pytest.mark.slow
def test_a_network_finds_the_tumor_in_the_channel_that_shows_it(tmp_path: Path) -> None:
    own(tmp_path / "all", CHANNELS)
    found = measured(tmp_path / "all", trial(tmp_path / "all", 4)).variants["raw"]
    own(tmp_path / "first", CHANNELS[:1])
    blind = measured(tmp_path / "first", trial(tmp_path / "first", 1)).variants["raw"]
    assert found["dice"] is not None
    assert found["dice"] > 0.85
    assert blind["dice"] is not None
    assert blind["dice"] < 0.5


@pytest.mark.parametrize(
    ("stored", "network", "message"),
    [
        (CHANNELS, 1, r"has 4 channels \(t1, t1ce, t2, flair\), but tiny takes 1; name them in data\.channels"),
        (CHANNELS[:1], 4, r"has one channel, but tiny takes 4; name them in data\.channels"),
    ],
)
def test_slices_of_another_number_of_channels_are_refused_in_one_line(
    tmp_path: Path, stored: Sequence[str], network: int, message: str
) -> None:
    own(tmp_path, stored, n=24)
    with pytest.raises(UserError, match=message):
        load_slices(trial(tmp_path, network), "train", "cpu")
