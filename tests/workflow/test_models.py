"""`snakemake models`: packages of trained experiments, beside the tables."""

import json

import pytest

from tests.workflow.conftest import TINY, House

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def test_models_are_beside_the_tables_and_are_packaged_again_with_what_they_hold(house: House) -> None:
    assert house.jobs() == set()
    experiments = ("dynamic", "se", "plain")
    wanted = {f"package/{name}/paper" for name in experiments}
    assert house.jobs("models") == wanted
    done = house.snakemake("--cores", "2", "models")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in experiments:
        record = json.loads((house.path / "results" / "models" / "paper" / name / "package.json").read_text())
        assert record["experiment"] == name
    assert house.jobs("models") == set()
    data = {"field_of_view_mm": 250.88, "keep_going": False, "phantom": TINY["data"]["phantom"]}
    house.configure(data=data | {"license": "drawn"})
    assert house.jobs("models") == wanted
    assert house.jobs() == set()
