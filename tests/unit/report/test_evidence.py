import csv

from mmran.config.claims import Claim
from mmran.config.tables import EVIDENCE
from mmran.report.evidence import TITLES, evidence_tables, verdict_counts, write_evidence
from mmran.report.formats import to_csv, to_markdown
from mmran.statistics.collection import Statistics
from tests.unit.statistics.samples import sample

CLAIMS = (
    Claim("Net is best", "net", "other", "acc", 89.87, 86.93),
    Claim("Net is best", "net", "absent", "hd95_mm", 6.649, 6.832),
)


def statistics() -> Statistics:
    net = sample("net")
    return Statistics.of([net, sample("other", draw=3)], net, ["dice", "acc"], CLAIMS)


def test_every_table_has_its_name_and_title():
    tables = evidence_tables(statistics())
    assert tuple(table.name for table in tables) == EVIDENCE == tuple(TITLES)
    assert [table.title for table in tables] == list(TITLES.values())


def test_a_claim_has_print_and_ours_side_by_side():
    found = statistics()
    rows = list(csv.DictReader(to_csv(evidence_tables(found)[0]).splitlines()))
    # 275 against 266 of 306: nine slices ahead, 2 / 2**9 = .0039 at best, and at most 17 discordant slices.
    assert [rows[0][key] for key in ("printed_row", "best_p", "max_discordant")] == ["89.87", "0.0039", "17"]
    ours = found.verdicts[0]
    assert rows[0]["difference"] == f"{100 * ours.difference:.2f}"
    assert rows[0]["verdict"] == ours.verdict
    assert [rows[1][key] for key in ("printed_row", "ours_row", "p_holm", "verdict")] == [
        "6.649",
        "-",
        "-",
        "untestable",
    ]
    assert verdict_counts(rows) in ("1 indistinguishable, 1 untestable", "2 untestable")


def test_a_row_names_its_variant_unless_it_is_the_predicted_mask():
    net = sample("net/raw")
    filled = sample("net/pkp", draw=1)
    per_class = evidence_tables(Statistics.of([net, filled], net, ["dice"], ()))[1]
    assert [cells[0].text for cells in per_class.rows] == ["net"] * 3 + ["net/pkp"] * 3


def test_classes_and_strata_have_one_line_each_with_intervals():
    _, per_class, strata, calibration = evidence_tables(statistics())
    assert len(per_class.rows) == 2 * 3
    lines = list(csv.DictReader(to_csv(per_class).splitlines()))
    assert [line["class"] for line in lines[:3]] == ["meningioma", "glioma", "pituitary"]
    assert lines[0]["sensitivity"] != "-"
    assert r" \[" in to_markdown(per_class)
    assert {line["stratum"] for line in csv.DictReader(to_csv(strata).splitlines())} >= {"size: small", "class: glioma"}
    assert [line["row"] for line in csv.DictReader(to_csv(calibration).splitlines())] == ["net", "other"]


def test_the_same_statistics_give_the_same_bytes(tmp_path):
    written = []
    for name in ("one", "two"):
        paths = write_evidence(statistics(), tmp_path / name)
        assert len(paths) == 4 * 4
        written.append([path.read_bytes() for path in paths])
    assert written[0] == written[1]
