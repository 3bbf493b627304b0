"""Specifications of a configuration."""

from pathlib import Path

from mmran.config.configuration import Config
from mmran.config.jobs import plan_search
from mmran.config.load import PAPER, load


def test_a_search_is_planned_though_no_table_shows_its_experiment(tmp_path: Path) -> None:
    rows = [{"label": "SE", "experiment": "se"}]
    table = {"title": "One", "kind": "metrics", "metrics": ["dice"], "rows": rows}
    shown = {"tables": {"one": table}, "figures": {}, "claims": [], "results": str(tmp_path), "source": "phantom"}
    jobs = plan_search(Config.checked(load([PAPER]) | shown))
    assert "train/dynamic/patient" in jobs


def test_the_configuration_can_be_imported_from_its_package() -> None:
    from mmran.config import Config as found

    assert found is Config
