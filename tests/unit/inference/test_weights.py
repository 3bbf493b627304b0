"""Weights predict in the precision that they learned in, where the processor has it."""

import dataclasses
from pathlib import Path

import pytest
import torch

from mmran.config.experiment import Experiment
from mmran.inference import weights
from mmran.inference.record import Package


@pytest.mark.parametrize(
    ("learned_on", "has_bfloat16", "expected"),
    [("cpu", True, torch.bfloat16), ("cpu", False, torch.float32), ("cuda", True, torch.float32)],
)
def test_half_precision_is_not_emulated(
    learned_on: str, has_bfloat16: bool, expected: torch.dtype, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Package.read(model_folder)
    learned = dataclasses.replace(record.weights[0], device=learned_on, precision="bfloat16")
    monkeypatch.setattr(weights, "cpu_has_bfloat16", lambda: has_bfloat16)
    recipe = weights.load_recipe(
        model_folder,
        dataclasses.replace(record, weights=(learned,)),
        0,
        Experiment.read(model_folder / "spec.json"),
        torch.device("cpu"),
    )
    with recipe.autocast():
        assert (torch.ones(1, 1) @ torch.ones(1, 1)).dtype == expected
