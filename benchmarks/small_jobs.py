"""Where the time of small jobs goes: CPU seconds to import what each verb needs, before it does any work.

    python benchmarks/small_jobs.py [--repeat 3] [--top 6]

Prints one line per verb: CPU seconds, the ratio to `python -c pass`, and the packages that take longest. A training of
a few seconds pays this once in its driver and, with Ray, once more in each worker.
"""

import argparse
import os
import re
import subprocess
import sys
from collections import defaultdict

STAGES = {
    "mmran --help": "import mmran.cli; mmran.cli.build_parser()",
    "convert": "import mmran.data.convert",
    "split": "import mmran.data.splits, mmran.config.configuration",
    "plan, why": "import mmran.config.reruns, mmran.planning.train_jobs",
    "train, its driver": "import mmran.training.publish, mmran.tune.runner",
    "train, in this process": "import mmran.tune.runner, mmran.training.run, safetensors.torch",
    "train, with Ray": "import mmran.tune.runner, ray.tune",
    "predict": "import mmran.evaluation.predict",
    "evaluate": "import mmran.evaluation.evaluate",
    "table": "import mmran.report.tables",
    "figure": "import mmran.report.figures",
    "(torch alone)": "import torch",
    "(Ray Tune alone)": "import ray.tune",
    "(Snakemake alone)": "import snakemake.cli",
}
"""Verb -> what it imports before it works."""


def cpu_seconds(code: str, repeat: int) -> float:
    """The least CPU time of several runs; the least disturbed one is the best estimate on a shared machine."""
    times = []
    for _ in range(repeat):
        process = subprocess.Popen([sys.executable, "-c", code])
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"failed: {code}")
        times.append(usage.ru_utime + usage.ru_stime)
    return min(times)


def longest(code: str, top: int) -> str:
    """The packages whose own modules take longest to import."""
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True)
    own: dict[str, int] = defaultdict(int)
    for microseconds, name in re.findall(r"import time:\s*(\d+) \|\s*\d+ \|\s*(\S+)", done.stderr):
        own[name.partition(".")[0]] += int(microseconds)
    total = sum(own.values())
    ranked = sorted(own.items(), key=lambda item: -item[1])[:top]
    return ", ".join(f"{name} {100 * share / total:.0f} %" for name, share in ranked)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each (default: %(default)s)")
    parser.add_argument("--top", type=int, default=4, metavar="N", help="packages to name (default: %(default)s)")
    arguments = parser.parse_args()
    nothing = cpu_seconds("pass", arguments.repeat)
    print(f"{'python -c pass':24}{nothing:7.2f} s")
    for stage, code in STAGES.items():
        seconds = cpu_seconds(code, arguments.repeat)
        print(f"{stage:24}{seconds:7.2f} s {seconds / nothing:6.0f} x  {longest(code, arguments.top)}", flush=True)


if __name__ == "__main__":
    main()
