"""A finished trial: what counts as one, what is damaged, and what may be loaded from it."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmran.config.experiment import Experiment
from mmran.errors import UserError
from mmran.training import run
from mmran.training.device import Compute
from mmran.training.trial import Trial
from tests.unit.training.trials import equal, only_trial, train

pytestmark = pytest.mark.slow

CPU = Compute(torch.device("cpu"), torch.float32, threads=1)


@pytest.fixture
def finished(tiny: Path, tmp_path: Path) -> Trial:
    found = only_trial(tiny, tmp_path, training={"epochs": 1})
    train(found)
    return found


def flip_last_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("name", ["weights.safetensors", "history.csv"])
def test_a_changed_result_is_named_and_trained_again(finished: Trial, name: str) -> None:
    weights = train(finished)
    flip_last_bit(finished.folder / name)
    assert not finished.finished()
    log: list[str] = []
    run.run_trial(finished, gpu=False, threads=1, log=log.append)
    assert log[0] == (
        f"warning: tiny seed1029-fold0: {finished.folder / name}: changed since it was written (its SHA-256 differs "
        "from the recorded one); training it again"
    )
    assert finished.finished()
    assert equal(train(finished), weights)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"digest": 1}', '{"digest": NaN}'])
def test_a_damaged_record_is_named_and_the_trial_trained_again(finished: Trial, text: str) -> None:
    finished.record_path.write_text(text)
    log: list[str] = []
    run.run_trial(finished, gpu=False, threads=1, log=log.append)
    assert log[0].startswith(f"warning: tiny seed1029-fold0: {finished.record_path}: not ")
    assert finished.finished()


def test_weights_of_another_training_are_not_loaded(finished: Trial, tiny: Path, tmp_path: Path) -> None:
    # As after an edit of spec.json or of the split beside trained weights of the same shapes.
    other = only_trial(tiny, tmp_path, training={"epochs": 2})
    with pytest.raises(
        UserError, match=r"run\.json: records training \w{12}, expected \w{12}: .*run `mmran train` again"
    ):
        run.load_recipe(other, finished.folder, CPU)
    assert run.load_recipe(finished, finished.folder, CPU).network.training is False


def test_changed_weights_are_not_loaded(finished: Trial) -> None:
    flip_last_bit(finished.weights_path)
    with pytest.raises(UserError, match=r"weights\.safetensors: not the weights that .* records; .*delete runs\.json"):
        run.load_recipe(finished, finished.folder, CPU)


def test_the_interval_of_checkpoints_decides_no_weight(tiny: Path, tmp_path: Path) -> None:
    often, seldom = (only_trial(tiny, tmp_path, training={"checkpoint_minutes": minutes}) for minutes in (0, 30))
    assert often.digest == seldom.digest


@pytest.mark.parametrize("key", ["selection", "stage_selection"])
def test_the_choice_of_epochs_decides_the_weights(tiny: Path, tmp_path: Path, key: str) -> None:
    best, last = (only_trial(tiny, tmp_path, training={key: value}) for value in ("best", "last"))
    assert best.digest != last.digest


def test_planning_trials_imports_no_torch() -> None:
    code = "import sys, mmran.training.trial, mmran.training.publish; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_what_decides_the_weights_decides_the_digest(tiny: Path, tmp_path: Path) -> None:
    before = only_trial(tiny, tmp_path)
    changes = [
        {"training": {"epochs": 4}},
        {"network": {"attention": "se"}},
        {"loss": {"focal_gamma": 1}},
        {"code": {"module": "1"}},
    ]
    digests = {before.digest}
    for change in changes:
        values = json.loads(before.experiment.to_json())
        for key, value in change.items():
            values[key] = values[key] | value
        digests.add(dataclasses.replace(before, experiment=Experiment.from_values(values)).digest)
    assert len(digests) == 5
