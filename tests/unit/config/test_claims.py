from pathlib import Path

import pytest

from mmran.config.claims import Claim, ComparisonSpec
from mmran.config.configuration import Config
from mmran.config.load import load
from mmran.errors import UserError

PAPER = Path(__file__).parents[3] / "config.yaml"


def config(**claim) -> Config:
    values = load([PAPER])
    if claim:
        values["claims"] = [{"sentence": "s", "row": "mmran", "against": ["chen"], "metrics": ["acc"]} | claim]
    return Config.checked(values)


def test_a_claim_takes_the_printed_values_from_the_tables_and_follows_aliases():
    found = config(row="mmran", against=["baseline", "chen"], metrics=["acc", "soft_dice"]).comparison.claims
    assert found == (
        Claim("s", "mmran/raw", "dynamic/raw", "acc", 89.87, 86.93),
        Claim("s", "mmran/raw", "chen/raw", "acc", 89.87, 86.93),
        Claim("s", "mmran/raw", "dynamic/raw", "soft_dice", None, None),
        Claim("s", "mmran/raw", "chen/raw", "soft_dice", None, None),
    )


def test_a_variant_is_a_row_of_its_own():
    found = config(row="mmran/pkp", against=["mmran"], metrics=["dice"]).comparison.claims
    assert found == (Claim("s", "mmran/pkp", "mmran/raw", "dice", 80.03, 79.87),)


def test_every_claim_of_the_paper_has_both_printed_values():
    comparison = config().comparison
    # Table 1: 8 + 5. Table 2: 2 + 2 + 2 + 4 + 1. Tables 4 to 6: 4 * 6, 4 * 6, 2 * 6, 1. None is left out.
    assert len(comparison.claims) == 13 + 11 + 24 + 24 + 12 + 1
    assert [claim for claim in comparison.claims if claim.printed_row is None or claim.printed_against is None] == []
    assert {claim.row for claim in comparison.claims} <= set(comparison.rows)
    assert comparison.against == "mmran/raw"
    assert comparison.rows[-1] == "nearest-slice/raw"


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ({"against": ["chen/filled"]}, r"claims\.0: no variant 'filled'"),
        ({"against": ["chen", "chne"]}, r"claims\.0: no experiment 'chne'; did you mean 'chen'\?"),
        ({"row": "mran/pkp"}, r"claims\.0: no experiment 'mran'; did you mean 'mmran'\?"),
        ({"metrics": ["dcie"]}, r"claims\.0\.metrics\.0: 'dcie' is unknown"),
    ],
)
def test_a_claim_about_nothing_is_refused(claim, message):
    with pytest.raises(UserError, match=message):
        config(**claim)


def test_a_claim_about_an_experiment_that_an_overlay_removes_is_left_out():
    def claims(**claim):
        values = load([PAPER])
        values["claims"] = [{"sentence": "s", "row": "mmran", "against": ["chen"], "metrics": ["acc"]} | claim]
        values["experiments"]["gone"] = None
        checked = Config.checked(values)
        assert Config.checked(checked.values).comparison == checked.comparison  # as jobs on other machines read it
        return checked.comparison.claims

    assert [claim.against for claim in claims(against=["gone/pkp", "chen"])] == ["chen/raw"]
    assert claims(against=["gone"]) == claims(row="gone") == ()


def test_a_comparison_reads_back_equal(tmp_path):
    comparison = config().comparison
    (tmp_path / "comparison.json").write_text(comparison.to_json())
    assert ComparisonSpec.read(tmp_path / "comparison.json") == comparison
    (tmp_path / "odd.json").write_text('{"rows": []}')
    with pytest.raises(UserError, match=r"odd\.json: not the specification of a comparison"):
        ComparisonSpec.read(tmp_path / "odd.json")
