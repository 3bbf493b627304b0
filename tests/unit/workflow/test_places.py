"""Where sources and results may lie."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.path_modifier import PathModifier

from mmran.config.configuration import Config
from mmran.errors import UserError
from mmran.workflow.places import check_places, leave_paths_alone, refuse_storage, with_moved_results


def module(prefix: str | None = None, replacements: dict[str, str] | None = None, inner: Any = None) -> SimpleNamespace:
    """Snakemake's workflow while it reads a module."""
    modifier = PathModifier(replacements, prefix, None, inner)
    return SimpleNamespace(modifier=SimpleNamespace(path_modifier=modifier))


@pytest.mark.parametrize(
    ("workflow", "results"),
    [
        (module(), "results"),
        (module(prefix="sub"), "sub/results"),
        (module(prefix="sub/"), "sub/results"),
        (module(replacements={"results/": "/data/other/"}), "/data/other"),
        (module(prefix="sub", inner=module(prefix="outer").modifier.path_modifier), "outer/sub/results"),
    ],
)
def test_the_results_of_a_module_move_as_a_whole(workflow: SimpleNamespace, results: str) -> None:
    assert with_moved_results(workflow, {"results": "results"}) == {"results": results}
    leave_paths_alone(workflow)
    assert workflow.modifier.path_modifier.replace_prefix("results/data/slices.h5") == "results/data/slices.h5"


def test_a_storage_provider_is_refused() -> None:
    refuse_storage(SimpleNamespace(storage_settings=SimpleNamespace(default_storage_provider=None)))
    with pytest.raises(UserError, match="--default-storage-provider"):
        refuse_storage(SimpleNamespace(storage_settings=SimpleNamespace(default_storage_provider="s3")))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"results": "a.txt", "source": "phantom"}, "config: results: a.txt is a file, expected a folder"),
        ({"results": "a.txt/deep/er", "source": "phantom"}, "config: results: a.txt is a file, expected a folder"),
        ({"results": "new", "source": "sl{ic}es"}, r"config: source: sl\{ic\}es: Snakemake reads braces"),
    ],
)
def test_places_at_which_snakemake_fails_are_refused(
    values: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("")
    check_places(Config({"results": "new", "source": ["slices", "a.zip"]}))
    with pytest.raises(UserError, match=message):
        check_places(Config(values))
