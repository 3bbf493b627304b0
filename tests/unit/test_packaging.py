"""Package, documentation and release files agree with each other and with the code."""

import re
import subprocess
import tomllib
from pathlib import Path

import yaml

import mmran

ROOT = Path(__file__).resolve().parents[2]


def test_the_version_stands_in_the_package_alone() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" in project["dynamic"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", mmran.__version__)
    assert "version:" not in (ROOT / "CITATION.cff").read_text().replace("cff-version:", "")


def test_the_changelog_has_a_section_for_the_next_release() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert mmran.__version__ in headings


def test_citing_names_software_paper_and_data() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    preferred = citation["preferred-citation"]
    assert preferred["title"] == citation["title"]
    assert preferred["year"] == int(str(citation["date-released"])[:4])
    dois = {reference["doi"] for reference in citation["references"]}
    assert {"10.1007/s11633-022-1392-6", "10.6084/m9.figshare.1512427", "10.1371/journal.pone.0140381"} == dois


def test_workflows_call_targets_that_the_makefile_has() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called: set[str] = set()
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        assert yaml.safe_load(path.read_text())["jobs"], path
        called |= set(re.findall(r"\bmake ([a-z]+)", path.read_text()))
    assert called
    assert called <= targets


def test_every_make_target_says_what_it_does() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)", text, re.MULTILINE)
    assert phony
    for target in phony[1].split():
        assert re.search(rf"^{target}:.* ## \w+", text, re.MULTILINE), target


def test_the_test_command_leaves_no_test_file_out() -> None:
    printed = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = {ROOT / word for word in re.findall(r"\btests/[\w/.]+", printed)}
    files = set((ROOT / "tests").rglob("test_*.py"))
    assert not {path for path in files if named.isdisjoint((path, *path.parents))}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= 900
