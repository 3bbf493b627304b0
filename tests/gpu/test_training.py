"""Trainings on CUDA: resumed to the bit, moved between devices, and evaluated, without Ray."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from mmran.cli import main
from mmran.data.phantom.patients import write_phantom
from mmran.training.record import RunRecord
from tests.unit.inference.test_reference_model import MODEL
from tests.unit.training.trials import Stopped, equal, experiment, only_trial, stop_after, train

pytestmark = pytest.mark.gpu

EPOCHS = 3
NETWORKS = ["mmran", "y-net", "rv-gan", "mb-dcnn"]


def changes(network: str, **training: Any) -> dict[str, Any]:
    attention = "mram" if network == "mmran" else None
    options = {"epochs": EPOCHS, "learning_rate": 1e-4, "checkpoint_minutes": 0, "precision": "auto"}
    return {"network": {"name": network, "width": 0.0625, "attention": attention}, "training": options | training}


@pytest.mark.parametrize("network", NETWORKS)
def test_killed_after_any_epoch_it_ends_in_the_same_bits(tiny: Path, tmp_path: Path, network: str) -> None:
    whole = only_trial(tiny, tmp_path / "whole", **changes(network))
    expected = train(whole, gpu=True)
    found = only_trial(tiny, tmp_path / "killed", **changes(network))
    for epoch in range(EPOCHS):
        with pytest.raises(Stopped):
            train(found, gpu=True, on_epoch=stop_after(epoch))
    assert equal(train(found, gpu=True), expected)
    record = RunRecord.read(found.record_path)
    assert record.device == "cuda"
    assert record.peak_memory_mb > 0
    assert not record.mixed_compute


@pytest.mark.parametrize("gpu_first", [True, False], ids=["GPU to CPU", "CPU to GPU"])
def test_a_checkpoint_continues_on_the_other_device_with_a_warning(tiny: Path, tmp_path: Path, gpu_first: bool) -> None:
    found = only_trial(tiny, tmp_path, **changes("mmran"))
    with pytest.raises(Stopped):
        train(found, gpu=gpu_first, on_epoch=stop_after(0))
    lines: list[str] = []
    train(found, gpu=not gpu_first, log=lines.append)
    before, after = ("cuda", "cpu") if gpu_first else ("cpu", "cuda")
    assert any(f"({before}, " in line and f"({after}, " in line and "warning" in line for line in lines)
    assert pd.read_csv(found.history_path)["device"].tolist() == [before, after, after]


def test_a_compiled_training_reaches_its_end(tiny: Path, tmp_path: Path) -> None:
    found = only_trial(tiny, tmp_path, **changes("mmran", compile=True, epochs=2))
    train(found, gpu=True)
    assert pd.read_csv(found.history_path)["loss"].notna().all()


def test_trained_and_evaluated_without_ray_it_predicts_as_a_cpu(tiny: Path, tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(experiment(**changes("mmran", epochs=8, learning_rate=1e-3)).to_json())
    data = ["--spec", str(spec), "--store", str(tiny / "data/slices.h5"), "--split", str(tiny / "splits/paper.csv")]
    output = tmp_path / "trained"
    work = str(tmp_path / "work")
    arguments = [*data, "--output", str(output), "--work", work, "--gpus", "1", "--no-ray", "--evaluate"]
    assert main(["train", *arguments]) == 0
    assert len(pd.read_csv(output / "cases.csv")) > 0
    assert json.loads((output / "runs.json").read_text())
    on_cpu = tmp_path / "predictions.h5"
    assert main(["predict", *data, "--trained", str(output), "--output", str(on_cpu)]) == 0
    with h5py.File(output / "predictions.h5") as ours, h5py.File(on_cpu) as theirs:
        compared: list[float] = []

        def compare(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
                compared.append(float(np.abs(item[()].astype(float) - theirs[name][()]).max()))

        ours.visititems(compare)
    assert compared
    # bfloat16 has eight bits of mantissa.
    assert max(compared) < 0.1


def test_a_model_segments_on_cuda_as_on_a_cpu(tmp_path: Path) -> None:
    drawn = tmp_path / "drawn"
    n = write_phantom(drawn, n_patients=4, size=128, seed=7)
    (drawn / "cvind.mat").unlink()
    for device in ("cpu", "cuda"):
        options = ["--output", str(tmp_path / device), "--truth", str(drawn), "--device", device]
        assert main(["segment", str(MODEL), str(drawn), *options]) == 0
    areas, dice = (
        [pd.read_csv(tmp_path / device / name)[column] for device in ("cpu", "cuda")]
        for name, column in (("predictions.csv", "area_px"), ("truth.csv", "dice"))
    )
    assert len(areas[1]) == n
    assert areas[1].sum() == pytest.approx(areas[0].sum(), rel=0.02)
    assert dice[1].mean() == pytest.approx(dice[0].mean(), abs=0.01)
