"""Where and in which precision a training computes."""

import contextlib
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mmran.errors import UserError


@dataclass(frozen=True)
class Compute:
    """A device and a precision.

    Attributes:
        device: where tensors live.
        dtype: of the forward passes under autocast; float32 means no autocast.
        threads: CPU threads of one operation; another number changes the last bits of a result.
    """

    device: torch.device
    dtype: torch.dtype
    threads: int

    @classmethod
    def choose(cls, *, gpu: bool, threads: int, precision: str, deterministic: bool, seed: int) -> "Compute":
        """Set the process up for one training.

        Args:
            gpu: compute on the CUDA device that is visible.
            threads: CPU threads.
            precision: auto, float32 or bfloat16.
            deterministic: refuse operations whose result may differ between two runs.
            seed: of weights that are drawn before the training starts.

        Raises:
            UserError: a GPU is asked for and none is there.
        """
        if gpu and not torch.cuda.is_available():
            raise UserError(
                "gpus: 1 is asked for, but torch sees no CUDA device; set gpus: 0, or check nvidia-smi and torch itself"
            )
        # cuBLAS reads this when it starts; without it deterministic mode refuses matrix products.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(deterministic)
        torch.backends.cudnn.benchmark = gpu and not deterministic
        torch.backends.cudnn.deterministic = deterministic
        device = torch.device("cuda" if gpu else "cpu")
        return cls(device, _dtype(precision, device), threads)

    def autocast(self) -> AbstractContextManager[Any]:
        """Context in which the forward pass of a network runs."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def describe(self) -> dict[str, Any]:
        """Plain values for the record of a run."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else _processor()
        dtype = str(self.dtype).removeprefix("torch.")
        return {"device": self.device.type, "device_name": name, "precision": dtype, "threads": self.threads}


def _dtype(precision: str, device: torch.device) -> torch.dtype:
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    # Processors without bfloat16 instructions emulate them, slower than float32.
    fast = torch.backends.cpu.get_cpu_capability() == "AVX512" and _has_flag("avx512_bf16", "amx_bf16")
    return torch.bfloat16 if fast else torch.float32


def _cpuinfo() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return ""


def _has_flag(*flags: str) -> bool:
    line = next((line for line in _cpuinfo().splitlines() if line.startswith("flags")), "")
    return bool(set(flags) & set(line.split()))


def _processor() -> str:
    line = next((line for line in _cpuinfo().splitlines() if line.startswith("model name")), "")
    return line.partition(":")[2].strip() or "CPU"
