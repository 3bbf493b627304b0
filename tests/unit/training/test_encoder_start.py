"""A training that starts from published weights."""

from pathlib import Path
from typing import Any

import pytest
import torch

from mmran.errors import UserError
from mmran.networks.published_names import EncoderReport
from mmran.training import run
from mmran.training.feasible import refuse_impossible
from mmran.training.record import RunRecord
from tests.unit.training.trials import Stopped, experiment, only_trial, stop_after

VGG: dict[str, Any] = {"name": "chen", "attention": None, "batch_norm": True}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """VGG-16's second convolution, narrow, with the classifier's last bias."""
    torch.save({"features.3.weight": torch.full((4, 4, 3, 3), 0.5), "classifier.6.bias": torch.ones(2)}, tmp_path / "w")
    return tmp_path / "w"


def start(weights: Path, **values: Any) -> dict[str, Any]:
    return {"network": {**VGG, "encoder_weights": str(weights)}, "training": {"epochs": 2, **values}}


@pytest.mark.slow
def test_the_first_epoch_starts_from_the_file_and_log_and_record_name_what_fits(
    tiny: Path, tmp_path: Path, weights: Path
) -> None:
    found = only_trial(tiny, tmp_path / "work", **start(weights, learning_rate=1e-30, selection="last"))
    lines: list[str] = []
    folder = run.run_trial(found, gpu=False, threads=1, log=lines.append)
    from safetensors.torch import load_file

    assert (load_file(folder / "weights.safetensors")["encoder.0.3.weight"] == 0.5).all()
    said = [line for line in lines if line.startswith("encoder weights: ")]
    assert said[0] == f"encoder weights: {weights}: 1 tensors start the encoder"
    assert said[-1] == "encoder weights: names that the file has that no encoder takes: classifier.6.bias"
    report = RunRecord.read(folder / "run.json").encoder
    assert report is not None
    # 13 convolutions and their norms have 78 tensors; one is loaded, and the bias beside it is 0.
    assert (report.loaded, len(report.missing), report.unused) == (1, 76, ("classifier.6.bias",))


@pytest.mark.slow
def test_a_continued_training_needs_no_file_and_keeps_the_record(tiny: Path, tmp_path: Path, weights: Path) -> None:
    found = only_trial(tiny, tmp_path / "work", **start(weights))
    with pytest.raises(Stopped):
        run.run_trial(found, gpu=False, threads=1, log=lambda line: None, on_epoch=stop_after(0))
    weights.unlink()
    folder = run.run_trial(found, gpu=False, threads=1, log=lambda line: None)
    report = RunRecord.read(folder / "run.json").encoder
    assert isinstance(report, EncoderReport)
    assert report.loaded == 1


def test_the_trial_follows_the_content_of_the_file(tiny: Path, tmp_path: Path, weights: Path) -> None:
    before = only_trial(tiny, tmp_path, **start(weights)).digest
    copy = weights.with_name("copy")
    copy.write_bytes(weights.read_bytes())
    assert only_trial(tiny, tmp_path, **start(copy)).digest == before
    torch.save({"features.3.weight": torch.zeros(4, 4, 3, 3)}, weights)
    assert only_trial(tiny, tmp_path, **start(weights)).digest != before


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"name": "mmran"}, r"MMRAN has no encoder that is one of"),
        ({"name": "resnet-50", "attention": None}, r"none of its 2 names, such as 'features\.3\.weight'"),
        ({**VGG, "width": 1}, r"features\.3\.weight is \(4, 4, 3, 3\), expected \(64, 64, 3, 3\)"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_before_there_are_slices(
    weights: Path, network: dict[str, Any], message: str
) -> None:
    chosen = experiment(network={**network, "encoder_weights": str(weights)})
    with pytest.raises(UserError, match=rf"^config: experiments\.tiny: network\.encoder_weights: .*{message}"):
        refuse_impossible(chosen)
