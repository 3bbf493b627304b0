"""The device and the precision of a training."""

import contextlib
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from mmran.errors import UserError
from mmran.machine import available_cpus, cpu_has_bfloat16, cpu_name
from mmran.training.record import Machine

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_AMPERE = (8, 0)
"""Lowest compute capability at which float32 convolutions round to TF32."""


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
        """Set up the process for one training or prediction.

        Args:
            gpu: compute on the visible CUDA device.
            threads: CPU threads.
            precision: auto, float32, bfloat16 or float16.
            deterministic: use deterministic operations only, and refuse those that have none.
            seed: of the weights.

        Raises:
            UserError: there is no CUDA device, the number of threads is out of range, or the precision is unknown.
        """
        cores = available_cpus()
        if not 1 <= threads <= cores:
            raise UserError(
                f"threads: {threads} is not within 1..{cores}, the CPUs that this process may use; change --threads"
            )
        if gpu and not torch.cuda.is_available():
            raise UserError(
                "gpus: 1 requested, but torch sees no CUDA device; set gpus: 0, or check nvidia-smi and torch itself"
            )
        device = torch.device("cuda" if gpu else "cpu")
        dtype = _dtype(precision, device)
        # cuBLAS reads this when it starts; without it deterministic mode refuses matrix products.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        # `use_deterministic_algorithms` does the same, and imports torch's compiler for 2.5 CPU seconds.
        torch.set_deterministic_debug_mode("error" if deterministic else "default")
        # Deterministic mode would also fill every new tensor, which costs time for nothing here:
        # none of our operations reads memory that it has not written.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = gpu and not deterministic
        torch.backends.cudnn.deterministic = deterministic
        return cls(device, dtype, threads)

    def autocast(self) -> AbstractContextManager[Any]:
        """Context of a network's forward pass."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def scaler(self) -> torch.amp.GradScaler:
        """Scaler of the losses: float16 gradients would underflow without it; disabled for other precisions."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)

    def machine(self) -> Machine:
        """The machine, as the record of a run describes it."""
        cuda = self.device.type == "cuda"
        rounds = cuda and torch.backends.cudnn.allow_tf32 and torch.cuda.get_device_capability(self.device) >= _AMPERE
        return Machine(
            device=self.device.type,
            device_name=torch.cuda.get_device_name(self.device) if cuda else cpu_name(),
            precision=str(self.dtype).removeprefix("torch."),
            threads=self.threads,
            tf32=bool(rounds and self.dtype == torch.float32),
        )


def _dtype(precision: str, device: torch.device) -> torch.dtype:
    if precision in _DTYPES:
        return _DTYPES[precision]
    if precision != "auto":
        raise UserError(f"training.precision: {precision!r} is unknown; choose auto, {', '.join(_DTYPES)}")
    if device.type == "cuda":
        # GPUs before Ampere emulate bfloat16, slower than float32.
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    fast = torch.backends.cpu.get_cpu_capability() == "AVX512" and cpu_has_bfloat16()
    return torch.bfloat16 if fast else torch.float32
