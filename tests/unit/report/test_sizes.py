import pytest

from mmran.errors import UserError
from mmran.files import write_json
from mmran.report.formats import to_csv
from mmran.report.sizes import NetworkSize, parameters_table, read_sizes
from tests.unit.report.test_tables import read, spec

NETWORKS = [
    {"name": "mmran", "parameters": 42_770_180, "multiply_accumulates": 634_250_000_000},
    {"name": "y-net", "parameters": 9_110_307, "multiply_accumulates": 52_345_678},
]
SIZES = [NetworkSize.from_values(values) for values in NETWORKS]


def test_parameters_are_compared_in_millions_and_percent():
    rows = (
        {"label": "MMRAN", "experiment": "mmran", "paper": {"params_m": 42.73}},
        {"label": "Y-Net", "experiment": "y-net"},
    )
    found = read(to_csv(parameters_table(spec(*rows, kind="parameters"), SIZES)))
    assert list(found[0]) == ["row", "params_m", "paper_params_m", "difference_percent", "gmacs"]
    # (42.77018 - 42.73) / 42.73 = .094 %.
    assert list(found[0].values()) == ["MMRAN", "42.77", "42.73", "+0.09", "634.25"]
    assert list(found[1].values()) == ["Y-Net", "9.11", "-", "-", "0.052"]


def test_a_narrowed_network_is_compared_at_full_width_and_its_cost_says_its_size():
    networks = [
        NetworkSize(
            name="mmran",
            parameters=670_000,
            parameters_full_width=42_770_180,
            multiply_accumulates=2_500_000_000,
            width=0.125,
            size=128,
        )
    ]
    row = {"label": "MMRAN", "experiment": "mmran", "paper": {"params_m": 42.73}}
    table = parameters_table(spec(row, kind="parameters"), networks)
    assert read(to_csv(table))[0]["params_m"] == "42.77"
    assert table.notes == ("Parameters at full width; multiply-accumulates of width 0.125 at 128 x 128 pixels.",)


def test_a_network_that_is_not_listed_is_named():
    with pytest.raises(UserError, match="no network of chen in the list: mmran, y-net"):
        parameters_table(spec({"label": "Chen", "experiment": "chen"}, kind="parameters"), SIZES)


def test_a_damaged_list_of_networks_is_one_line(tmp_path):
    write_json(tmp_path / "sizes.json", [{"name": "mmran"}])
    with pytest.raises(UserError, match=r"sizes\.json: not a list of networks .*run `mmran networks --json` again"):
        read_sizes(tmp_path / "sizes.json")
