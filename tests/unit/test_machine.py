"""What this machine offers: quotas of control groups, CPUs."""

import os
from pathlib import Path

import pytest

from mmran import machine
from mmran.machine import available_cpus, cgroup_quotas


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_every_group_above_a_process_limits_it(tmp_path: Path) -> None:
    proc = write(tmp_path / "proc", "0::/job/step\n")
    write(tmp_path / "sys" / "job" / "cpu.max", "250000 100000\n")
    write(tmp_path / "sys" / "job" / "step" / "cpu.max", "max 100000\n")
    write(tmp_path / "sys" / "cpu.max", "400000 50000\n")
    assert list(cgroup_quotas(proc, tmp_path / "sys")) == [2.5, 8]


def test_in_a_container_the_group_of_the_host_is_not_below_the_mount(tmp_path: Path) -> None:
    proc = write(tmp_path / "proc", "0::/docker/0123\n")
    write(tmp_path / "sys" / "cpu.max", "150000 100000\n")
    assert list(cgroup_quotas(proc, tmp_path / "sys")) == [1.5]


def test_groups_of_version_1_are_read_too(tmp_path: Path) -> None:
    proc = write(tmp_path / "proc", "4:cpu,cpuacct:/job\n3:memory:/job\n0::/\n")
    write(tmp_path / "sys" / "cpu,cpuacct" / "job" / "cpu.cfs_quota_us", "300000\n")
    write(tmp_path / "sys" / "cpu,cpuacct" / "job" / "cpu.cfs_period_us", "100000\n")
    write(tmp_path / "sys" / "cpu,cpuacct" / "cpu.cfs_quota_us", "-1\n")
    write(tmp_path / "sys" / "cpu,cpuacct" / "cpu.cfs_period_us", "100000\n")
    assert list(cgroup_quotas(proc, tmp_path / "sys")) == [3]


@pytest.mark.parametrize(("quota", "cpus"), [("50000 100000", 1), ("150000 100000", 1), ("100000000 1000", None)])
def test_a_quota_counts_as_whole_cpus_and_never_as_more_than_there_are(
    quota: str, cpus: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_PROC", write(tmp_path / "proc", "0::/\n"))
    monkeypatch.setattr(machine, "_CGROUPS", write(tmp_path / "sys" / "cpu.max", quota).parent)
    assert available_cpus() == (cpus or len(os.sched_getaffinity(0)))


def test_the_processor_tells_its_name_and_whether_it_computes_bfloat16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for flags, expected in (("fma avx2", False), ("avx2 avx512_bf16", True), ("amx_bf16 fma", True)):
        info = write(
            tmp_path / "cpuinfo", f"processor\t: 0\nmodel name\t: A B\nflags\t\t: {flags}\n\nflags\t: amx_bf16\n"
        )
        monkeypatch.setattr(machine, "_CPUINFO", info)
        assert machine.cpu_has_bfloat16() is expected
        assert machine.cpu_name() == "A B"
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "none")
    assert (machine.cpu_has_bfloat16(), machine.cpu_name()) == (False, "CPU")
