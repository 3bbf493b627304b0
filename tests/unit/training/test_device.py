"""Device and precision: what is chosen, what is refused, what is recorded."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from mmran.errors import UserError
from mmran.training import checkpoint, device
from mmran.training.device import Compute
from mmran.training.record import RunRecord
from tests.unit.training.trials import Stopped, equal, only_trial, stop_after, train


def choose(**changes: Any) -> Compute:
    options = {"gpu": False, "threads": 1, "precision": "float32", "deterministic": True, "seed": 0}
    return Compute.choose(**options | changes)


@pytest.mark.parametrize("threads", [0, -1, 10_000])
def test_threads_that_the_machine_does_not_have_are_refused(threads: int) -> None:
    with pytest.raises(UserError, match=rf"^threads: {threads} is not within 1\.\.{os.cpu_count()}"):
        choose(threads=threads)


def test_an_unknown_precision_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="'half' is unknown; choose auto, float32, bfloat16, float16"):
        choose(precision="half")


@pytest.mark.parametrize(("native", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_gpu_that_emulates_bfloat16_computes_in_float32(
    native: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As torch answers on V100, T4 and RTX 20: supported, but by emulation.
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation=True: including_emulation or native)
    assert device._dtype("auto", torch.device("cuda")) == expected


def test_deterministic_mode_does_not_fill_fresh_memory() -> None:
    choose()
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory


@pytest.mark.parametrize(
    ("capability", "precision", "rounds"),
    [((8, 0), "float32", True), ((7, 0), "float32", False), ((9, 0), "bfloat16", False)],
)
def test_float32_that_rounds_to_tf32_is_recorded(
    capability: tuple[int, int], precision: str, rounds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.get_device_name", lambda found: "a card")
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda found: capability)
    machine = Compute(torch.device("cuda"), getattr(torch, precision), 1).machine()
    assert (machine.device, machine.device_name, machine.precision) == ("cuda", "a card", precision)
    assert machine.tf32 is rounds


@pytest.mark.slow
def test_float16_scales_its_losses_and_continues_with_the_scale(tiny: Path, tmp_path: Path) -> None:
    changes = {"training": {"epochs": 2, "precision": "float16"}, "network": {"attention": "none"}}
    whole = only_trial(tiny, tmp_path / "whole", **changes)
    expected = train(whole)
    assert RunRecord.read(whole.record_path).precision == "float16"
    found = only_trial(tiny, tmp_path / "killed", **changes)
    with pytest.raises(Stopped):
        train(found, on_epoch=stop_after(0))
    saved = checkpoint.read(found.folder / "latest.ckpt")["scaler"]
    assert saved["scale"] >= 1
    # Otherwise the first batches would be scaled as at the start of a training.
    assert saved["_growth_tracker"] > 0 or saved["scale"] != 65536
    assert equal(train(found), expected)


def test_other_precisions_scale_nothing() -> None:
    assert not choose().scaler().is_enabled()
    assert not choose(precision="bfloat16").scaler().is_enabled()
    assert choose(precision="float16").scaler().is_enabled()
