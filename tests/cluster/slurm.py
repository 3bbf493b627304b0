"""A real Slurm on this machine: munge, a controller and two nodes with two GPUs each, for as long as a command runs.

    python -m tests.cluster.slurm bash          # a shell with sbatch, squeue and scancel that work

The nodes are this machine twice, and their GPUs are copies of the null device: jobs queue for them as for real ones,
and cannot compute on them. Needs root, for the devices and for the link /etc/slurm/slurm.conf: Snakemake's Slurm
executor drops SLURM_CONF from the environment of its jobs, so the configuration has to be where Slurm looks by itself.
"""

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
DEFAULT_CONFIGURATION = Path("/etc/slurm/slurm.conf")
PREFIX = "slurm-of-the-tests-"
# Debian keeps the daemons where only root's PATH leads.
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
NODES, CPUS, GPUS, MEMORY_MB = 2, 2, 2, 8000

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
# Loopback alone.
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
# No cgroups and no systemd: a container has neither.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,batch_sched_delay=0,bf_interval=2,defer_batch
# What the nodes say they have, whatever this machine has.
SlurmdParameters=config_overrides
GresTypes=gpu
# Between SIGTERM and SIGKILL; squeue remembers ended jobs for so long.
KillWait=20
MinJobAge=600
ReturnToService=2
{nodes}
PartitionName=gpu Nodes=ALL Default=YES MaxTime=600 DefMemPerCPU=500 State=UP
PartitionName=short Nodes=ALL MaxTime=30 DefMemPerCPU=500 State=UP
"""
NODE = f"NodeHostname={{host}} NodeAddr=127.0.0.1 CPUs={CPUS} RealMemory={MEMORY_MB} Gres=gpu:{GPUS}"


def unavailable() -> str | None:
    """Why there can be no Slurm here, and what would help; None where there can."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if missing:
        return f"no {', '.join(missing)}: apt-get install --no-install-recommends slurmctld slurmd slurm-client munge"
    if os.geteuid() != 0:
        return "only root can make the devices that stand for GPUs"
    configuration = DEFAULT_CONFIGURATION
    if (
        configuration.is_symlink()
        and PREFIX in str(configuration.readlink())
        and "is UP" not in ask("scontrol", "ping")
    ):
        return None  # left by a run that was killed
    if configuration.is_symlink() or configuration.exists():
        return f"{configuration} belongs to another Slurm, which is left alone"
    return None


@contextlib.contextmanager
def cluster() -> Iterator[Path]:
    """Run a Slurm; yields the folder with the daemons' logs. Its jobs and daemons end with the context."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    # The nodes of a cluster write their logs here under every user.
    folder.chmod(0o755)
    daemons: list[subprocess.Popen[bytes]] = []
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        configuration = _configure(folder)
        stack.callback(DEFAULT_CONFIGURATION.unlink, missing_ok=True)
        DEFAULT_CONFIGURATION.parent.mkdir(exist_ok=True)
        DEFAULT_CONFIGURATION.unlink(missing_ok=True)
        DEFAULT_CONFIGURATION.symlink_to(configuration)
        stack.callback(_stop, daemons)
        socket_path = folder / "munge.socket"
        files = [f"--{name}-file={folder}/munged.{name}" for name in ("pid", "log", "seed")]
        files += [f"--key-file={folder}/munge.key", f"--socket={socket_path}"]
        daemons.append(_spawn(["munged", "--foreground", "--force", *files], folder / "munged.out"))
        _until(lambda: _succeeds("munge", "-n", "-S", str(socket_path)), daemons, folder)
        # Named to the daemons, which look for gres.conf beside it.
        daemons.append(_spawn(["slurmctld", "-D", "-c", "-f", str(configuration)], folder / "slurmctld.log"))
        for number in range(NODES):
            daemons.append(
                _spawn(["slurmd", "-D", "-f", str(configuration), "-N", f"n{number}"], folder / f"slurmd-n{number}.log")
            )
        _until(lambda: ask("sinfo", "-h", "-N", "-p", "gpu", "-o", "%T").split() == ["idle"] * NODES, daemons, folder)
        stack.callback(_cancel_all)
        yield folder


def ask(*command: str) -> str:
    """What one of Slurm's programs prints; nothing where it fails."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _configure(folder: Path) -> Path:
    host, ports = socket.gethostname().partition(".")[0], _free_ports(1 + NODES)
    for name in ("state", *(f"spool-n{number}" for number in range(NODES))):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(128))
    nodes, gres = [], ["AutoDetect=off"]
    for number in range(NODES):
        nodes.append(f"NodeName=n{number} Port={ports[1 + number]} {NODE.format(host=host)}")
        for gpu in range(GPUS):
            # Slurm counts GPUs as character devices; 1, 3 is the null device.
            device = folder / f"gpu{number}{gpu}"
            os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            gres.append(f"NodeName=n{number} Name=gpu File={device}")
    (folder / "gres.conf").write_text("\n".join(gres) + "\n")
    (folder / "cgroup.conf").write_text("CgroupMountpoint=/sys/fs/cgroup\n")  # Slurm 22.05 refuses an empty one
    configuration = folder / "slurm.conf"
    configuration.write_text(CONFIGURATION.format(host=host, folder=folder, ports=ports, nodes="\n".join(nodes)))
    return configuration


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _spawn(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env=os.environ | {"PATH": PATH}, preexec_fn=_end_with_parent
        )


def _end_with_parent() -> None:
    os.setsid()
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _until(ready: Callable[[], bool], daemons: list[subprocess.Popen[bytes]], folder: Path) -> None:
    end = time.monotonic() + 60
    while not ready():
        ended = [daemon.args for daemon in daemons if daemon.poll() is not None]
        if ended or time.monotonic() > end:
            paths = [*folder.glob("*.log"), *folder.glob("*.out")]
            logs = [f"{path.name}: {path.read_text()[-2000:]}" for path in paths]
            raise RuntimeError("\n".join([f"Slurm did not start; {ended or 'nothing'} ended", *logs]))
        time.sleep(0.1)


def _cancel_all() -> None:
    _succeeds("scancel", "--user=root")
    end = time.monotonic() + 40
    while ask("squeue", "-h").strip() and time.monotonic() < end:
        time.sleep(0.2)


def _stop(daemons: list[subprocess.Popen[bytes]]) -> None:
    for daemon in reversed(daemons):
        daemon.terminate()
        try:
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def main(command: list[str]) -> int:
    """Run a command beside a Slurm."""
    reason = unavailable()
    if reason or not command:
        print(reason or __doc__, file=sys.stderr)
        return 2
    # Leave as on Ctrl-C: through everything that tidies up.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with cluster() as folder:
        print(f"Slurm is up; its logs are in {folder}", file=sys.stderr)
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
