"""Tests in this folder compute on a CUDA device, and skip without one."""

import pytest
import torch


@pytest.fixture(autouse=True)
def cuda() -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
