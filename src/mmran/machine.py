"""What this machine offers the process: CPUs and GPUs."""

import os
from collections.abc import Iterator
from pathlib import Path

_PROC, _CGROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_CPUINFO = Path("/proc/cpuinfo")


def available_cpus() -> int:
    """CPUs that this process may use: the fewest that the machine, its affinity, and its cgroup quotas allow.

    A container or a scheduler often grants part of a machine, which `os.cpu_count` does not see.
    """
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cpus = os.cpu_count() or 1
    return max(1, min([cpus, *map(int, cgroup_quotas(_PROC, _CGROUPS))]))


def cgroup_quotas(proc: Path, root: Path) -> Iterator[float]:
    """CPUs that the control groups of a process grant it, one number for each group with a quota.

    Args:
        proc: its cgroup file below /proc.
        root: where the control groups are mounted.
    """
    for line in _read(proc).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            for folder in _upward(root, path):
                quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
                if quota not in ("", "max"):
                    yield int(quota) / int(period or 100_000)
        elif "cpu" in controllers.split(","):
            for mount in (root / controllers, root / "cpu"):
                for folder in _upward(mount, path):
                    quota, period = (_read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
                    if quota and period and int(quota) > 0:
                        yield int(quota) / int(period)


def cpu_name() -> str:
    """The processor's name, "CPU" where the system does not tell it."""
    return _cpuinfo("model name") or "CPU"


def cpu_has_bfloat16() -> bool:
    """Whether the CPU has instructions for bfloat16; emulated, it is slower than float32."""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(_cpuinfo("flags").split())


def visible_gpus() -> int:
    """GPUs that torch sees; torch is imported only if the machine has a device for one."""
    if not any(Path("/dev").glob("nvidia[0-9]*")) and not Path("/dev/kfd").exists() and not Path("/dev/dxg").exists():
        return 0
    import torch

    return torch.cuda.device_count()


def _upward(root: Path, path: str) -> Iterator[Path]:
    """A control group's folder and those above it, up to the mount."""
    folder = root / path.lstrip("/")
    # A container may see the path of its host, which does not exist below its own mount.
    yield from (place for place in (folder, *folder.parents) if place.is_relative_to(root) and place.is_dir())


def _cpuinfo(key: str) -> str:
    """A field of the first CPU."""
    line = next((line for line in _read(_CPUINFO).splitlines() if line.startswith(key)), "")
    return line.partition(":")[2].strip()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
