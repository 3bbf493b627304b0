"""The versions that are tested together stand in one lock; conda users get the same."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def lock(name: str) -> list[str]:
    lines = (ROOT / "envs" / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-r"))]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_conda_and_plain_environments_install_the_same_versions() -> None:
    environment = yaml.safe_load((ROOT / "envs" / "mmran.yaml").read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    (section,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert section == lock("requirements.lock")


def test_every_dependency_is_pinned_to_one_version_without_a_local_suffix() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line) for line in lock(name)), name
    pinned = {normal(line.partition("==")[0]) for line in lock("requirements.lock")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["fast"]
    assert {normal(re.split(r"[\[><=]", name)[0]) for name in wanted} <= pinned
