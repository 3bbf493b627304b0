"""The versions that are tested together stand in one lock; conda, Docker and Apptainer get the same."""

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


def test_every_locked_package_has_its_hashes_and_only_cuda_comes_with_them() -> None:
    text = "\n".join(lock("hashes.lock")).replace(" \\\n", " ")
    hashed = {requirement: hashes for requirement, *hashes in map(str.split, text.splitlines())}
    pinned = {normal(line) for line in lock("requirements.lock")}
    assert pinned <= {normal(requirement) for requirement in hashed}
    more = [normal(one) for one in hashed if normal(one) not in pinned]
    assert all(re.match(r"(nvidia|cuda)-|triton==|setuptools==", one) for one in more)
    assert all(
        hashes and all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes) for hashes in hashed.values()
    )


def dockerfile() -> list[list[str]]:
    """Instructions of the Dockerfile, each as its words."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


def copied() -> list[str]:
    return [source for word, *sources, _ in dockerfile() if word == "COPY" for source in sources]


def pip_calls(text: str) -> list[str]:
    return re.findall(r"pip install .*?(?= &&|$)", text, re.MULTILINE)


def test_images_have_the_python_of_the_conda_environment() -> None:
    environment = yaml.safe_load((ROOT / "envs" / "mmran.yaml").read_text())
    (python,) = [name for name in environment["dependencies"] if str(name).startswith("python=")]
    base = f"python:{python.removeprefix('python=')}-slim"
    assert [words for words in dockerfile() if words[0] in ("ARG", "FROM")] == [
        ["ARG", f"BASE={base}"],
        ["FROM", "${BASE}"],
    ]
    assert re.findall(r"^From: (.*)", (ROOT / "envs" / "mmran.def").read_text(), re.MULTILINE) == [base]


def test_images_install_the_lock_and_this_package_and_nothing_else() -> None:
    docker = "\n".join(" ".join(words) for words in dockerfile())
    installed = ["pip install --no-cache-dir --require-hashes -r envs/hashes.lock"]
    installed += ["pip install --no-cache-dir --no-deps --editable ."]
    assert pip_calls(docker) == installed
    assert pip_calls((ROOT / "envs" / "mmran.def").read_text()) == installed
    assert not re.search(r"apt-get|conda|curl|wget", docker)


def test_images_hold_all_that_the_pipeline_and_its_installation_read() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    package = {"pyproject.toml", "src", "envs", project["readme"], *project["license-files"]}
    # `profiles` is a link to a folder of `workflow`, and made there.
    assert set(copied()) == package | {"envs/hashes.lock", "Snakefile", "config.yaml", "workflow"}
    files = (ROOT / "envs" / "mmran.def").read_text().partition("%files\n")[2].partition("\n\n")[0]
    assert {line.split()[0] for line in files.splitlines()} == package
    assert all((ROOT / path).exists() for path in copied())


def test_what_is_left_out_of_an_image_is_none_of_what_goes_into_it() -> None:
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    signs = {"**/": "(.*/)?", "*": "[^/]*", ".": r"\."}
    ignored = re.compile(
        "|".join(re.sub(r"\*\*/|\*|\.", lambda sign: signs[sign[0]], pattern) + "(/.*)?" for pattern in patterns)
    )
    wanted = [ROOT / path for path in copied()]
    wanted += [path for folder in wanted for path in folder.rglob("*") if path.suffix in (".py", ".smk", ".yaml")]
    assert not [path for path in wanted if ignored.fullmatch(path.relative_to(ROOT).as_posix())]
    assert all(
        ignored.fullmatch(path) for path in (".git/HEAD", ".venv/bin/python", "results/paper", "src/a/__pycache__")
    )


def test_every_rule_with_a_command_runs_in_the_conda_environment() -> None:
    text = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    rules = [rule for rule in re.split(r"^(?=rule |use rule )", text, flags=re.MULTILINE) if "    shell:" in rule]
    assert len(rules) > 8
    assert all('    conda:\n        "../../envs/mmran.yaml"\n' in rule for rule in rules)


def test_every_dependency_is_pinned_to_one_version_without_a_local_suffix() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line) for line in lock(name)), name
    pinned = {normal(line.partition("==")[0]) for line in lock("requirements.lock")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["fast"]
    assert {normal(re.split(r"[\[><=]", name)[0]) for name in wanted} <= pinned
