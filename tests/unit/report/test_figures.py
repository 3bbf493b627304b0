import struct
import xml.etree.ElementTree

import matplotlib
import pytest

from mmran.cli.figures import VERBS
from mmran.config.schema import choices
from mmran.data.store import SliceStore
from mmran.errors import UserError
from mmran.files import sha256_file, write_json
from mmran.report.figures import KINDS
from tests.unit.report.evaluated import MULTITASK, ROWS, SEGMENTER, draw, predict

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["hole-filling", "outlines", "confusion", "roc"])
def test_a_figure_is_a_whole_svg_a_png_of_the_page_width_and_a_caption(results, tmp_path, kind):
    caption = draw(results, tmp_path, kind)
    root = xml.etree.ElementTree.parse(tmp_path / "figure.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    png = (tmp_path / "figure.png").read_bytes()
    width, _ = struct.unpack(">II", png[16:24])
    assert width == 2148  # 7.16 in at 300 dpi
    assert len(png) < 1_000_000
    assert caption.startswith("A title. ")
    assert f"split {sha256_file(results / 'splits' / 'paper.csv')[:12]}" in caption


@pytest.mark.parametrize("kind", ["outlines", "roc"])
def test_equal_results_give_equal_files_whatever_the_users_settings(results, tmp_path, kind):
    draw(results, tmp_path / "once", kind)
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "svg.fonttype": "path", "text.usetex": False}):
        draw(results, tmp_path / "again", kind)
    for name in ("figure.svg", "figure.png", "figure.pdf", "figure.txt"):
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert "<dc:date>" not in (tmp_path / "once" / "figure.svg").read_text()


def test_networks_without_the_task_are_left_out_and_named_in_the_caption(results, tmp_path):
    outlines = draw(results, tmp_path, "outlines")
    assert "Omitted because they predict no masks: Classifier." in outlines
    assert "Holes filled: Multi." in outlines
    for kind in ("confusion", "roc"):
        assert "Omitted because they predict no classes: Segmenter et al. Protocol" in draw(results, tmp_path, kind)


def test_results_of_another_split_or_an_outdated_specification_are_refused(results, tmp_path):
    (tmp_path / "data").symlink_to(results / "data")
    (tmp_path / "splits").mkdir()
    lines = (results / "splits" / "paper.csv").read_text().splitlines()
    (tmp_path / "splits" / "paper.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "splits" / "reversed.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    with SliceStore(results / "data" / "slices.h5") as store:
        predict(tmp_path, store, MULTITASK)
        predict(tmp_path, store, SEGMENTER, classes=False, protocol="reversed")
    with pytest.raises(UserError, match=r"figure figure: .* differ in the digest of their split"):
        draw(tmp_path, tmp_path / "out", "outlines", [ROWS[0], ROWS[2]])
    write_json(tmp_path / "specs" / "experiments" / f"{MULTITASK}.json", {"edited": True})
    with pytest.raises(UserError, match="its specification is now"):
        draw(tmp_path, tmp_path / "out", "roc", ROWS[2:])
    assert not (tmp_path / "out").exists()


def run_verb(*arguments: str) -> None:
    from argparse import ArgumentParser

    (verb,) = VERBS
    parser = ArgumentParser()
    verb.arguments(parser)
    verb.run(parser.parse_args(arguments))


def test_the_verb_draws_and_prints_what_it_wrote(results, tmp_path, capsys):
    spec = tmp_path / "figure7.json"
    write_json(spec, {"title": "Confusion", "kind": "confusion", "rows": ROWS})
    output = tmp_path / "out" / "figure7.svg"
    run_verb("--spec", str(spec), "--results", str(results), "--protocol", "paper", "--output", str(output))
    assert capsys.readouterr().out.split() == [str(output.with_suffix(end)) for end in (".svg", ".png", ".pdf", ".txt")]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"kind": "pie", "rows": ROWS}, "expected one of hole-filling, outlines, confusion, roc"),
        ({"kind": "roc", "rows": []}, "rows: expected at least one"),
        ({"kind": "roc", "rows": [{"label": "Net"}]}, "'experiment'"),
        (
            {"kind": "outlines", "rows": [ROWS[0] | {"variant": "best"}]},
            "'best' is unknown, expected one of raw, pkp",
        ),
        ({"kind": "outlines", "rows": ROWS}, "add --store"),
        ({"kind": "roc", "rows": [{"label": "No", "experiment": "absent"}]}, "evaluate absent under protocol paper"),
    ],
)
def test_a_wrong_request_is_one_clear_line(results, tmp_path, spec, said):
    path = tmp_path / "figure.json"
    write_json(path, spec)
    with pytest.raises(UserError, match=said) as error:
        run_verb("--spec", str(path), "--results", str(results), "--protocol", "paper", "--output", str(tmp_path / "f"))
    assert "\n" not in str(error.value)


def test_text_in_an_svg_stays_text_and_a_dollar_sign_in_a_label_starts_no_formula(results, tmp_path):
    rows = [ROWS[2] | {"label": "$\\notacommand{$ <b>"}]
    draw(results, tmp_path, "roc", rows)
    svg = xml.etree.ElementTree.parse(tmp_path / "figure.svg")
    texts = ["".join(node.itertext()) for node in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert any("$\\notacommand{$ <b>" in text for text in texts)
    assert "false positive rate" in texts
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_the_schema_allows_exactly_the_kinds_that_are_drawn():
    assert set(choices("figure_kind")) == set(KINDS)
