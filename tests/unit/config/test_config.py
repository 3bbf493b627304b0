"""Files -> merged, checked configuration -> experiments."""

import math
from pathlib import Path
from typing import Any

import pytest

from mmran.config.configuration import Config
from mmran.config.experiment import Experiment, NetworkSpec
from mmran.config.load import load, overlay
from mmran.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
NET = {"label": "x", "experiment": "mmran"}


@pytest.fixture(scope="module")
def paper() -> dict[str, Any]:
    return load([ROOT / "config.yaml"])


def config(paper: dict[str, Any], **changes: Any) -> Config:
    return Config.checked(overlay(paper, changes))


def test_the_paper_is_configured_as_printed(paper: dict[str, Any]) -> None:
    experiment = config(paper).resolve("mmran")
    assert experiment.training.epochs == 240
    assert experiment.training.batch_size == 10
    assert experiment.training.learning_rate == 0.001
    assert experiment.seeds == (1029, 1, 2)
    assert experiment.input.size == 512
    assert experiment.network == NetworkSpec("mmran", 1.0, {"attention": "mram"}, mask_prior="data")


def test_table_1_and_2_are_fifteen_trainings_and_share_the_dynamic_one(paper: dict[str, Any]) -> None:
    # Table 1: seven fixed weights, freeze, dynamic. Table 2: six more networks; Baseline is dynamic, PKP is mmran.
    checked = config(paper)
    names = set(checked.trained_for("table1")) | set(checked.trained_for("table2"))
    assert len(names) == 15
    assert checked.experiment_name("baseline") == "dynamic"
    assert checked.table("table2").rows[0].experiment == "dynamic"


def test_an_experiment_holds_the_defaults_and_what_its_entry_changes(paper: dict[str, Any]) -> None:
    checked = config(paper, experiments={"quick": {"training": {"epochs": 3}}})
    quick, dynamic = checked.resolve("quick"), checked.resolve("dynamic")
    assert (quick.training.epochs, quick.training.batch_size) == (3, 10)
    assert quick.loss == dynamic.loss


def test_another_network_keeps_the_width_but_not_the_options_of_the_default_one(paper: dict[str, Any]) -> None:
    checked = config(
        paper,
        defaults={"network": {"width": 0.5}},
        experiments={"own": {"network": {"name": "mmran.networks.mmran:MMRAN"}}},
    )
    assert checked.resolve("own").network == NetworkSpec("mmran.networks.mmran:MMRAN", 0.5, mask_prior="data")


def test_a_network_from_outside_is_known_by_the_name_the_configuration_gives_it(paper: dict[str, Any]) -> None:
    checked = config(
        paper, networks={"mine": "mmran.networks.mmran:MMRAN"}, experiments={"x": {"network": {"name": "mine"}}}
    )
    assert checked.resolve("x").network.name == "mmran.networks.mmran:MMRAN"


def test_name_and_seeds_are_no_part_of_the_digest(paper: dict[str, Any]) -> None:
    checked = config(paper, experiments={"a": {"seeds": [1]}, "b": {"seeds": [1, 2]}, "c": {"input": {"size": 256}}})
    assert checked.resolve("a").digest() == checked.resolve("b").digest() == checked.resolve("dynamic").digest()
    assert checked.resolve("c").digest() != checked.resolve("a").digest()


def test_whole_and_fractional_numbers_of_one_value_are_one_experiment(paper: dict[str, Any]) -> None:
    whole = config(paper, experiments={"a": {"loss": {"focal_gamma": 2}, "network": {"width": 1}}})
    fractional = config(paper, experiments={"a": {"loss": {"focal_gamma": 2.0}, "network": {"width": 1.0}}})
    assert whole.resolve("a").to_json() == fractional.resolve("a").to_json()


def test_resources_are_no_part_of_an_experiment(paper: dict[str, Any]) -> None:
    plain = config(paper).resolve("mmran")
    other = config(paper, defaults={"resources": {"threads": 7}})
    assert other.resolve("mmran").to_json() == plain.to_json()
    assert other.resources("mmran")["threads"] == 7


def test_a_specification_reads_back_as_the_experiment_it_was(paper: dict[str, Any], tmp_path: Path) -> None:
    experiment = config(paper).resolve("fixed-0.2")
    path = tmp_path / "spec.json"
    path.write_text(experiment.to_json())
    assert Experiment.read(path) == experiment


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reslts": 1}, r"top level: unknown key 'reslts'; did you mean 'results'"),
        ({"experiments": {"x": {"trainng": {}}}}, r"experiments\.x: unknown key 'trainng'; did you mean 'training'"),
        (
            {"experiments": {"x": {"training": {"epohcs": 3}}}},
            r"x\.training: unknown key 'epohcs'; did you mean 'epochs'",
        ),
        ({"experiments": {"x": {"training": {"epochs": 0}}}}, r"x\.training\.epochs: 0 is less than the minimum of 1"),
        ({"experiments": {"x": {"network": {"atention": "se"}}}}, r"no option 'atention'; did you mean 'attention'"),
        ({"experiments": {"x": {"network": {"name": "mmrann"}}}}, r"network 'mmrann' is unknown"),
        ({"experiments": {"x": {"schedule": {"name": "fixed"}}}}, r"schedule fixed needs alpha"),
        ({"experiments": {"x": {"schedule": {"alpha": 0.5}}}}, r"schedule dynamic has no option 'alpha'"),
        (
            {"experiments": {"x": {"schedule": {"name": "fixd"}}}},
            r"schedule\.name: 'fixd' is unknown; did you mean 'fixed'\? known: dynamic, fixed, freeze",
        ),
        (
            {"experiments": {"x": {"training": {"optimizer": "adamW"}}}},
            r"training\.optimizer: 'adamW' is unknown; did you mean 'adam",
        ),
        ({"experiments": {"x": "dynamc"}}, r"experiments\.x: no experiment 'dynamc'; did you mean 'dynamic'"),
        ({"experiments": {"x": "y", "y": "x"}}, r"leads back to"),
        ({"experiments": {"a/b": {}}}, r"a/b"),
        (
            {"experiments": {"x": {"network": {"name": "chen"}, "input": {"size": 48}}}},
            r"size 48 is not divisible by 32",
        ),
        (
            {"figures": {"figure5": {"rows": [{"label": "x", "experiment": "mran"}]}}},
            r"figures\.figure5: no experiment",
        ),
        ({"tables": {"table1": {"metrics": ["dcie"]}}}, r"metrics\.0: 'dcie' is unknown; did you mean 'dice'"),
        ({"tables": {"table3": {"metrics": ["dice"]}}}, r"tables\.table3: a table of kind parameters does not use"),
        (
            {"tables": {"table1": {"rows": [{"label": "x", "experiment": "se", "paper": {"acc": 1, "f2": 1}}]}}},
            r"tables\.table1: row 'x': paper\.f2 is not a column of this table; .*known: acc, dice",
        ),
        (
            {"tables": {"table3": {"rows": [{"label": "x", "experiment": "se", "variant": "pkp"}]}}},
            r"tables\.table3: row 'x': a table of kind parameters does not use variant",
        ),
        (
            {"figures": {"figure8": {"rows": [{"label": "x", "experiment": "se", "variant": "pkp"}]}}},
            r"figures\.figure8: row 'x': a figure of kind roc does not use variant",
        ),
        ({"figures": {"figure8": {"paper": {"gain": [1]}}}}, r"figures\.figure8: only kind hole-filling uses paper"),
        ({"figures": {"figure8": {"against": "MMRAN"}}}, r"figures\.figure8: only kind forest uses against"),
        ({"figures": {"forest": {"against": "MRAN"}}}, r"figures\.forest: against: 'MRAN' is the label of 0 rows, exp"),
        (
            {"tables": {"claims": {"title": "x", "kind": "metrics", "metrics": ["dice"], "rows": [NET]}}},
            r"tables\.claims: the statistics already have a table of that name",
        ),
        ({"experiments": {"nearest-slice": {}}}, r"experiments\.nearest-slice: the name of the baseline"),
        (
            {"tables": {"table3": {"rows": [{"label": "x", "experiment": "nearest-slice"}]}}},
            r"tables\.table3: row 'x': nearest-slice has no network to count",
        ),
        (
            {"figures": {"figure8": {"rows": [{"label": "x", "experiment": "nearest-slice"}]}}},
            r"figures\.figure8: no experiment 'nearest-slice'",
        ),
        ({"protocols": {"paper": {"method": "slcie"}}}, r"'slcie' is unknown; did you mean 'slice'"),
        (
            {"experiments": {123: {}}},
            r"config: experiments: key 123 is not text; quote it: '123'",
        ),
        (
            {"experiments": {"x": {"training": {"learning_rate": math.nan}}}},
            r"learning_rate: nan is not a finite number",
        ),
        (
            {"experiments": {"x": {"training": {"learning_rate": math.inf}}}},
            r"learning_rate: inf is not a finite number",
        ),
        ({"results": "a{b}"}, r"results: 'a\{b\}' is not a usable folder"),
        ({"results": "-x"}, r"results: '-x' is not a usable folder"),
        ({"results": "~nobody-here/x"}, r"results: '~nobody-here/x': .*give the full path"),
        ({"results": 2026}, r"results: 2026 is a int, expected text; quote it: '2026'"),
        ({"evaluate_under": ["papr"]}, r"evaluate_under: no protocol 'papr'; did you mean 'paper'"),
        (
            {"tables": {"table1": {"rows": [{"label": "x", "experiment": "mran"}]}}},
            r"tables\.table1: no experiment 'mran'",
        ),
        (
            {"tables": {"t": {"title": "t", "kind": "metrics", "rows": [{"label": "x", "experiment": "mmran"}]}}},
            r"names none",
        ),
    ],
)
def test_a_mistake_is_one_line_with_the_key_and_the_known_names(
    paper: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        config(paper, **changes)
    assert "\n" not in str(error.value)


def test_without_a_source_one_line_names_the_demo_and_the_data_set(paper: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"source=DIR .*10\.6084/m9\.figshare\.1512427.*make demo"):
        _ = config(paper).source
    assert config(paper, source="phantom").source is None
    assert config(paper, source="a.zip").source == ["a.zip"]


def test_an_overlay_alone_is_told_what_it_goes_after() -> None:
    with pytest.raises(UserError, match=r"config: \S+: missing; .* goes after a whole configuration: .*config\.yaml"):
        Config.read([ROOT / "workflow" / "overlays" / "demo.yaml"])


def test_a_null_takes_a_key_away_from_what_it_lies_over(paper: dict[str, Any]) -> None:
    space = {"alpha": [0.2], "learning_rate": None, "batch_size": None}
    entries = {"freeze": None, "se": {"network": {"attention": None}}}
    gone = {"tables": {"table1": None}, "figures": {"figure5": None}}
    checked = config(paper, search={"space": space}, experiments=entries, **gone)
    assert checked.search is not None
    assert checked.search.space == {"alpha": [0.2]}
    assert "figure5" not in checked.figures
    assert "freeze" not in checked.values["experiments"]
    # Of the default's options, whether named before or in the entry itself.
    assert checked.resolve("se").network.options == {}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"defaults": {"training": {"epochs": None}}}, r"training\.epochs"),
        ({"defaults": {"network": {"name": None}}}, r"network\.name"),
        ({"defaults": {"schedule": {"name": None}}}, r"schedule\.name"),
        ({"defaults": {"resources": {"threads": None}}}, r"resources\.threads"),
        ({"experiments": {"mmran": {"network": None}}}, "network"),
        ({"experiments": {"mmran": {"seeds": None}}}, "seeds"),
    ],
)
def test_a_null_cannot_take_a_value_that_every_experiment_needs(
    paper: dict[str, Any], changes: dict[str, Any], key: str
) -> None:
    with pytest.raises(UserError, match=rf"experiments\.[\w.-]+: no {key}; .*null cannot remove it"):
        config(paper, **changes)


def test_the_home_folder_is_expanded(paper: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    checked = config(paper, results="~/x/", source=["~/a.zip"])
    assert (checked.results, checked.source) == (Path("/somewhere/x"), ["/somewhere/a.zip"])


@pytest.mark.parametrize("name", [path.name for path in (ROOT / "workflow" / "overlays").glob("*.yaml")])
def test_every_overlay_is_valid(name: str) -> None:
    checked = Config.read([ROOT / "config.yaml", ROOT / "workflow" / "overlays" / name])
    assert checked.experiments()
