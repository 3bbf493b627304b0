"""Exported networks give the probabilities of torch."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmran.cli import main
from mmran.errors import UserError
from mmran.inference import export
from mmran.networks import NETWORKS, build


def test_a_missing_library_is_one_line_with_the_extra(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        UserError, match=r"needs onnxruntime, which is not installed; run pip install 'mmran\[export\]'"
    ):
        export.export(model_folder, "onnx", tmp_path / "out")


def test_a_folder_of_other_files_is_not_replaced(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(UserError, match="exists and is not an export; choose another --output"):
        export.export(model_folder, "torch", tmp_path)


def test_nan_is_no_agreement() -> None:
    assert export._difference([torch.tensor([0.5, torch.nan])], [torch.tensor([0.5, torch.nan])]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "torch"])
def test_a_package_is_exported_network_by_network(
    kind: str, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(model_folder), "--format", kind, "--output", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all("any batch, " in line and "differs from torch by at most" in line for line in lines)
    values = json.loads((tmp_path / "out" / "export.json").read_text())
    assert values["outputs"] == ["mask_probability (batch, 1, height, width)", "class_probability (batch, 3)"]
    assert set(values["files"]) == {path.name for path in (tmp_path / "out").iterdir()} - {"export.json"}
    assert all(one["difference"] <= 1e-4 for one in values["files"].values())


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_expressed_in_onnx_for_any_batch(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build(name, width=0.0625)
    # Deep networks with random weights overflow in evaluation: one pass in training mode sets the running statistics.
    samples = torch.rand(4, 1, 64, 64)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    network.train()(samples)
    probabilities = export.Probabilities(network.eval()).eval()
    path = tmp_path / "network.onnx"
    difference = export._written(probabilities, "onnx", path, samples[:2], [samples[:1], samples[:3]], any_size=False)
    assert difference <= 1e-4
    assert path.stat().st_size > 10_000
    assert all(np.isfinite(one).all() for one in (out.detach().numpy() for out in probabilities(samples)))
