"""A stand-in for conda: it answers what Snakemake asks of conda, and solves and downloads nothing.

It shows what Snakemake and the rules do with `--use-conda`, not what conda makes of envs/mmran.yaml. Its environments
have a Python of their own, and of the running environment's packages exactly those that the `pip:` section names, as
links, after a look whether the versions are the same. They lack mmran. Each start of their Python is noted.

`install` puts it into a folder; the program there answers `conda --version`, `conda info --json`,
`conda config --get channel_priority --json`, `conda env create --file FILE --prefix FOLDER` and `conda clean`.
"""

import argparse
import json
import shlex
import sys
import venv
from importlib import metadata
from pathlib import Path

import yaml

# What conda's own `activate` does, as far as jobs notice: where an environment is active already, as `base` is after
# `conda init`, the new one takes its place in PATH, which need not be the first.
ACTIVATE = """
if [ "${CONDA_SHLVL:-0}" -gt 0 ]; then
  PATH="$(printf %s ":$PATH:" | awk -v old=":$CONDA_PREFIX/bin:" -v new=":$1/bin:" '
    { i = index($0, old); if (!i) print substr(new, 2) substr($0, 2)
      else print substr($0, 1, i - 1) new substr($0, i + length(old)) }')"
  PATH="${PATH#:}"
  PATH="${PATH%:}"
else
  PATH="$1/bin:$PATH"
fi
export PATH CONDA_PREFIX="$1" CONDA_SHLVL=$((${CONDA_SHLVL:-0} + 1))
"""

# Runs in every Python of an environment: the jobs' own, and the workers that Ray starts for them. conda's Python is
# rarely of the same patch version as the one that runs Snakemake.
NOTE_START = """
import collections, json, sys
Version = collections.namedtuple("Version", "major minor micro releaselevel serial")
sys.version_info = Version(*sys.version_info)._replace(micro=99)
with open(sys.prefix + "/starts.jsonl", "a") as file:
    file.write(json.dumps(sys.orig_argv[1:]) + "\\n")
"""


def install(base: Path, version: str = "26.9.2") -> Path:
    """Lay out an installation as conda does; returns the folder to put on PATH."""
    program = base / "bin" / "conda"
    program.parent.mkdir(parents=True)
    command = shlex.join([sys.executable, __file__, "--base", str(base), "--pretended", version])
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    program.chmod(0o755)
    (program.parent / "activate").write_text(ACTIVATE)
    return program.parent


def starts(prefix: Path) -> list[list[str]]:
    """Arguments of every start of an environment's Python."""
    return [json.loads(line) for line in (prefix / "starts.jsonl").read_text().splitlines()]


def create(file: Path, prefix: Path) -> None:
    """Make the environment that a file describes; exits with a message where the versions here are others."""
    dependencies = yaml.safe_load(file.read_text())["dependencies"]
    python = f"python={sys.version_info.major}.{sys.version_info.minor}"
    (pinned,) = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    if python not in dependencies or "pip" not in dependencies:
        sys.exit(f"stand-in conda: {file} has to name pip and {python}, which is what runs here")
    parts: dict[str, Path] = {}
    for line in pinned:
        name, _, version = line.partition("==")
        package = metadata.distribution(name)
        # The build (+cpu, +cu130) is pip's choice by machine.
        if package.version.partition("+")[0] != version:
            sys.exit(f"stand-in conda: {line} is asked for, {package.version} is what is here")
        files = [path for path in package.files or [] if path.parts[0] not in ("..", "__pycache__")]
        parts |= {path.parts[0]: Path(str(package.locate_file(path.parts[0]))) for path in files}
    venv.create(prefix, symlinks=True, with_pip=False)
    (packages,) = prefix.glob("lib/python*/site-packages")
    for name, source in parts.items():
        (packages / name).symlink_to(source)
    (packages / "sitecustomize.py").write_text(NOTE_START)
    (prefix / "conda-meta").mkdir()


def main() -> None:
    parser = argparse.ArgumentParser("conda")
    parser.add_argument("--base", type=Path)
    parser.add_argument("--pretended")
    parser.add_argument("--version", action="store_true")
    parser.add_argument("words", nargs="*")
    for flag in ("--json", "--quiet", "--no-default-packages"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--get")
    parser.add_argument("--file", type=Path)
    parser.add_argument("--prefix", type=Path)
    # Of `conda clean -y --tarballs`, which has nothing to do here.
    parser.add_argument("-y", action="store_true")
    parser.add_argument("--tarballs", action="store_true")
    asked = parser.parse_args()
    if asked.version:
        print(f"conda {asked.pretended}")
    elif asked.words == ["info"]:
        print(json.dumps({"conda_prefix": str(asked.base), "platform": "linux-64"}))
    elif asked.words == ["config"]:
        print(json.dumps({"get": {asked.get: "strict"}}))
    elif asked.words == ["env", "create"]:
        create(asked.file, asked.prefix)
    elif asked.words != ["clean"]:
        sys.exit(f"stand-in conda: does not know {sys.argv[5:]}")


if __name__ == "__main__":
    main()
