"""Where the time of a run of small jobs goes: CPU seconds of every process, and what of them is start and imports.

    python benchmarks/small_jobs.py                    # the whole demo, into results/small-jobs
    python benchmarks/small_jobs.py --imports          # imports alone, with the packages that take longest

Runs the commands of `make demo` and prints a Markdown table by stage. CPU seconds of a process hardly depend on what
else the machine does, so they compare better than elapsed time. A process reports its own at its exit; the imports of a
stage are measured apart, and what remains is its work.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OVERLAY = "workflow/overlays/demo.yaml"
RESULTS = "results/small-jobs"

IMPORTS = {
    "phantom": "mmran.data.phantom.patients",
    "convert": "mmran.data.convert",
    "verify": "mmran.data.audit",
    "split": "mmran.data.splits, mmran.data.split_report",
    "train": "mmran.tune.runner, mmran.training.run, safetensors.torch, pandas",
    "predict": "mmran.evaluation.predict, mmran.evaluation.evaluate, safetensors.torch",
    "evaluate": "mmran.evaluation.evaluate",
    "networks": "mmran.networks.complexity",
    "nearest-slice": "mmran.statistics.nearest_slice",
    "compare": "mmran.statistics.collection, mmran.report.evidence",
    "table": "mmran.report.tables, mmran.report.sizes",
    "figure": "mmran.report.figures",
    "overview": "mmran.report.overview_text",
    "snakemake": "snakemake.cli",
    "snakemake --report": "snakemake.cli",
    "show": "mmran.cli.results",
    "(torch alone)": "torch",
    "(pandas alone)": "pandas",
    "(Ray Tune alone)": "ray.tune",
}
"""Stage -> what it imports before it works."""

# Python imports a module of this name at its start.
_PROBE = """
import atexit, json, os, resource, sys

def report(path=os.environ["MMRAN_PROBE"]):
    used = resource.getrusage(resource.RUSAGE_SELF)
    line = json.dumps({"argv": sys.argv, "cpu_s": used.ru_utime + used.ru_stime})
    with open(path, "a") as file:
        file.write(line + "\\n")

atexit.register(report)
"""


def stage_of(argv: Sequence[str]) -> str:
    """The stage that a command line belongs to."""
    program, words = Path(argv[0]).name, list(argv[1:])
    if "snakemake" in argv[0]:
        return "snakemake --report" if "--report" in words else "snakemake"
    while "--job" in words:
        del words[words.index("--job") : words.index("--job") + 2]
    known = next((word for word in words if word in IMPORTS), None)
    return known or program


def run_demo(probe: Path) -> tuple[dict[str, list[float]], float]:
    """Run the demo into an empty folder.

    Returns:
        Stage -> CPU seconds of each of its processes, in the order of their ends; elapsed seconds.
    """
    shutil.rmtree(ROOT / RESULTS, ignore_errors=True)
    (probe / "sitecustomize.py").write_text(_PROBE)
    seen = probe / "seen.jsonl"
    python_path = os.pathsep.join([str(ROOT / "src"), str(probe)])
    environment = os.environ | {"PYTHONPATH": python_path, "MMRAN_PROBE": str(seen)}
    snakemake = [sys.executable, "-m", "snakemake", "--configfile", OVERLAY, "--config", f"results={RESULTS}"]
    began = time.perf_counter()
    for command in (
        [*snakemake, "--cores", "all", "--quiet", "rules", "progress", "host", "reason"],
        [*snakemake, "--cores", "1", "--report", f"{RESULTS}/report.zip", "--quiet", "all"],
        [sys.executable, "-m", "mmran", "show", RESULTS],
    ):
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    elapsed = time.perf_counter() - began
    found: dict[str, list[float]] = defaultdict(list)
    for line in seen.read_text().splitlines():
        one = json.loads(line)
        found[stage_of(one["argv"])].append(one["cpu_s"])
    return found, elapsed


def cpu_seconds(modules: str, repeat: int) -> float:
    """The least CPU time of several starts of Python that import modules: the least disturbed one."""
    times = []
    for _ in range(repeat):
        process = subprocess.Popen([sys.executable, "-c", f"import {modules}"])
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"failed: import {modules}")
        times.append(usage.ru_utime + usage.ru_stime)
    return min(times)


def longest(modules: str, top: int) -> str:
    """The packages whose own modules take longest to import."""
    command = [sys.executable, "-X", "importtime", "-c", f"import {modules}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    own: dict[str, int] = defaultdict(int)
    for microseconds, name in re.findall(r"import time:\s*(\d+) \|\s*\d+ \|\s*(\S+)", done.stderr):
        own[name.partition(".")[0]] += int(microseconds)
    total = sum(own.values())
    ranked = sorted(own.items(), key=lambda item: -item[1])[:top]
    return ", ".join(f"{name} {100 * share / total:.0f} %" for name, share in ranked)


def print_imports(repeat: int, top: int) -> None:
    """One line per stage: CPU seconds of its imports and the packages that take longest."""
    for stage, modules in IMPORTS.items():
        print(f"{stage:20}{cpu_seconds(modules, repeat):7.2f} s  {longest(modules, top)}", flush=True)


def print_run(found: dict[str, list[float]], elapsed: float, repeat: int) -> None:
    """The table: one line per stage, those of the most CPU seconds first."""
    print("| stage | processes | start and imports, each | work, each | CPU seconds in all |")
    print("|---|---:|---:|---:|---:|")
    for stage, times in sorted(found.items(), key=lambda item: -sum(item[1])):
        mean = sum(times) / len(times)
        starts = min(mean, cpu_seconds(IMPORTS[stage], repeat)) if stage in IMPORTS else 0.0
        print(f"| {stage} | {len(times)} | {starts:.1f} | {mean - starts:.1f} | {sum(times):.0f} |")
    total = sum(map(sum, found.values()))
    print(f"| all | {sum(map(len, found.values()))} | | | {total:.0f} |")
    print(f"\nelapsed: {elapsed:.0f} s on {len(os.sched_getaffinity(0))} cores")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--imports", action="store_true", help="run nothing, and print the imports alone")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="starts of each (default: %(default)s)")
    parser.add_argument("--top", type=int, default=4, metavar="N", help="packages to name (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.imports:
        print_imports(arguments.repeat, arguments.top)
        return
    with tempfile.TemporaryDirectory() as probe:
        found, elapsed = run_demo(Path(probe))
    print_run(found, elapsed, arguments.repeat)


if __name__ == "__main__":
    main()
