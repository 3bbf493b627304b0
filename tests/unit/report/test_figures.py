import itertools
import struct
import xml.etree.ElementTree
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest

from mmran.cli.figures import VERBS
from mmran.config.figures import FigureSpec
from mmran.data.store import SliceStore
from mmran.errors import UserError
from mmran.evaluation.cases import COLUMNS
from mmran.evaluation.evaluate import evaluate
from mmran.evaluation.predictions import CLASS_COLUMNS, PredictionWriter
from mmran.files import sha256_file, write_json
from mmran.metrics import classification
from mmran.report.figures import make_figure, style
from mmran.report.figures.confusion import counts, row_shares
from mmran.report.figures.hole_filling import largest_gains
from mmran.report.figures.outlines import Layout, chosen_slices
from mmran.report.figures.pictures import Box, check_store, head_box, outline, predicted_masks, square_around
from mmran.report.figures.roc import class_auc, mean_curve, roc_curve
from mmran.report.figures.rows import Row, read_rows

SEEDS = (7, 9)
MULTITASK, SEGMENTER, CLASSIFIER = "multi", "segmenter", "classifier"


def row_of(cases: list[dict], **changes) -> Row:
    frame = pd.DataFrame(cases).reindex(columns=list(COLUMNS))
    frame["seed"] = frame["seed"].fillna(7)
    values = {"label": "Net", "experiment": "net", "style": 0, "variant": "raw", "summary": {}, "predictions": Path()}
    return Row(cases=frame, **(values | changes))


def predict(results: Path, store: SliceStore, name: str, masks=True, classes=True, hollow=(), protocol="paper") -> None:
    """Write, as the workflow does, what a network says: the truth, less the middle of every hollow slice."""
    spec = results / "specs" / "experiments" / f"{name}.json"
    write_json(spec, {"name": name})
    split = results / "splits" / f"{protocol}.csv"
    digests = {"spec": sha256_file(spec), "data": store.digest, "split": sha256_file(split)}
    folder = results / "experiments" / name / "paper"
    random = np.random.default_rng(0)
    with PredictionWriter(folder / "predictions.h5", name, "paper", digests) as writer:
        for seed, number in itertools.product(SEEDS, store.index["slice"]):
            mask = store.read(number)[1].astype(float)
            if number in hollow and seed == SEEDS[0]:
                rows, columns = (int(np.median(places)) for places in np.nonzero(mask))
                mask[rows, columns] = 0
            writer.add(
                number, seed, 0, mask if masks else None, random.dirichlet((1, 1, 1)).astype("f4") if classes else None
            )
    store_path = results / "data" / "slices.h5"
    evaluate(folder / "predictions.h5", store_path, split, folder / "cases.csv", folder / "summary.json")


@pytest.fixture(scope="module")
def results(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    (folder / "data").symlink_to(tiny / "data")
    (folder / "splits").symlink_to(tiny / "splits")
    with SliceStore(folder / "data" / "slices.h5") as store:
        largest = store.index.sort_values("tumor_px")["slice"].tolist()[-3:]
        predict(folder, store, MULTITASK, hollow=largest)
        predict(folder, store, SEGMENTER, classes=False)
        predict(folder, store, CLASSIFIER, masks=False)
    return folder


ROWS = (
    {"label": "Segmenter et al.", "experiment": SEGMENTER},
    {"label": "Classifier", "experiment": CLASSIFIER},
    {"label": "Multi", "experiment": MULTITASK, "variant": "pkp"},
)


def draw(results: Path, output: Path, kind: str, rows=ROWS, **more) -> str:
    """Draw a figure and return its caption."""
    spec = FigureSpec.from_values({"name": "figure", "title": "A title", "kind": kind, "rows": list(rows)} | more)
    paths = make_figure(spec, results, "paper", results / "data" / "slices.h5", output / "figure.svg")
    assert [path.name for path in paths] == ["figure.svg", "figure.png", "figure.txt"]
    return paths[-1].read_text()


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
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "svg.fonttype": "none"}):
        draw(results, tmp_path / "again", kind)
    for name in ("figure.svg", "figure.png", "figure.txt"):
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert "<dc:date>" not in (tmp_path / "once" / "figure.svg").read_text()


def gains_row(*dice: tuple[int, float, float], **changes) -> Row:
    common = {"label": 1, "seed": 7}
    cases = [
        {"slice": number, "variant": variant, "dice": value, **common}
        for number, before, after in dice
        for variant, value in (("raw", before), ("pkp", after))
    ]
    return row_of(cases, **changes)


def test_the_two_slices_that_gain_most_are_shown_best_first_and_never_a_loss():
    # gains: slice 1 .1, slice 2 .3, slice 3 -.2, slice 4 .3, slice 5 0
    row = gains_row((1, 0.5, 0.6), (4, 0.25, 0.55), (2, 0.25, 0.55), (3, 0.7, 0.5), (5, 0.9, 0.9))
    gains = largest_gains(row)
    assert gains["slice"].tolist() == [2, 4]  # equal gains in the order of the numbers
    assert gains["gain"].tolist() == pytest.approx([0.3, 0.3])
    assert largest_gains(gains_row((1, 0.5, 0.6), (3, 0.7, 0.5)))["slice"].tolist() == [1]
    assert largest_gains(gains_row((3, 0.7, 0.5), (5, 0.9, 0.9))).empty


def test_the_caption_of_hole_filling_has_the_gain_in_points_and_the_papers(results, tmp_path):
    caption = draw(results, tmp_path, "hole-filling", ROWS[2:], paper_gain=[1.83, 5.14])
    with SliceStore(results / "data" / "slices.h5") as store:
        areas = store.index.set_index("slice")["tumor_px"]
    best = areas.sort_values().index[-3]  # of three masks that each lack one pixel, the smallest gains most
    before = 2 * (areas[best] - 1) / (2 * areas[best] - 1)
    assert f"slice {best}: Dice {100 * before:.2f} % to 100.00 %, {100 - 100 * before:.2f} points more" in caption
    assert "(b)" in caption
    assert "(c)" not in caption
    assert "The paper shows gains of 1.83 and 5.14 points." in caption


def test_a_figure_without_an_eligible_slice_says_so_on_its_canvas(results, tmp_path):
    caption = draw(results, tmp_path, "hole-filling", ROWS[:1])
    assert "No test slice of Segmenter et al. gains Dice from hole filling" in caption
    assert (tmp_path / "figure.png").stat().st_size > 0
    assert "no holes to fill" in draw(results, tmp_path, "hole-filling", ROWS[1:2])
    assert "No network of this figure draws masks." in draw(results, tmp_path, "outlines", ROWS[1:2])
    for kind in ("confusion", "roc"):
        assert "No network of this figure tells classes." in draw(results, tmp_path, kind, ROWS[:1])


def test_networks_without_the_task_are_left_out_and_named_in_the_caption(results, tmp_path):
    outlines = draw(results, tmp_path, "outlines")
    assert "Without masks and so left out: Classifier." in outlines
    assert "Holes filled: Multi." in outlines
    for kind in ("confusion", "roc"):
        assert "Without classes and so left out: Segmenter et al. Protocol" in draw(results, tmp_path, kind)


def index_of(*entries: tuple[int, int, float]) -> pd.DataFrame:
    return pd.DataFrame(entries, columns=["slice", "tumor_px", "spacing_mm"])


def row_tested_on(*numbers: int) -> Row:
    return row_of([{"slice": number, "variant": "raw", "dice": 0.5} for number in numbers])


def test_the_large_and_the_small_tumor_stand_at_the_90th_and_10th_percentile_of_area():
    index = index_of(*((number, 100 * number, 1.0) for number in range(1, 12)))
    # eleven slices: rank .9 * 10 = 9 counted from zero is the tenth, rank 1 the second
    assert chosen_slices([row_tested_on(*range(1, 12))], index) == {"Large tumor": 10, "Small tumor": 2}
    # three slices in common, 4, 5 and 6: ranks 1.8 and .2 are the last and the first
    assert chosen_slices([row_tested_on(4, 5, 6, 7), row_tested_on(3, 4, 5, 6)], index) == {
        "Large tumor": 6,
        "Small tumor": 4,
    }
    assert chosen_slices([row_tested_on(3)], index) == {"Large tumor": 3}
    assert chosen_slices([row_tested_on(3), row_tested_on(4)], index) == {}


def test_areas_are_compared_in_mm2_not_in_pixels():
    # 100 pixels of 4 mm² are more than 300 of 1 mm²
    index = index_of((1, 300, 1.0), (2, 100, 2.0))
    assert chosen_slices([row_tested_on(1, 2)], index) == {"Large tumor": 2, "Small tumor": 1}


def test_more_networks_than_columns_go_on_in_another_band():
    assert Layout.of(8).columns == Layout.of(9).columns == 8
    one, two = Layout.of(8), Layout.of(9)
    assert two.block - one.block == pytest.approx(one.band)
    assert Layout.of(2).panel <= 1.4


def test_the_enlarged_square_keeps_inside_the_frame():
    mask = np.zeros((64, 64), bool)
    mask[0:10, 54:64] = True
    # ten pixels and as much again, in the upper right corner
    assert square_around(mask, margin=1.0) == Box(0, 44, 20, 64)
    assert square_around(np.zeros((64, 48), bool), margin=0.5) == Box(8, 0, 56, 48)  # no lesion: the whole width


def test_no_mask_is_cut_off_with_the_air_around_the_head():
    picture = np.zeros((64, 64), np.float32)
    picture[20:40, 20:40] = 1
    far = np.zeros((64, 64), bool)
    far[60, 60] = True
    near = head_box(picture, Box(25, 25, 35, 35))
    assert near == Box(20, 20, 40, 40)
    assert head_box(picture, Box(25, 25, 35, 35), far).bottom > 60


def test_an_empty_mask_has_no_outline_and_one_at_the_edge_is_closed():
    axes = style.place(style.new_figure(1), 0, 0, 1, 1)
    outline(axes, np.zeros((4, 4), bool), 1.0, color="#D55E00")
    assert not axes.collections
    outline(axes, np.ones((4, 4), bool), 1.0, color="#D55E00")
    points = axes.collections[0].get_paths()[0].vertices
    assert points[0].tolist() == points[-1].tolist()
    assert (points.min(), points.max()) == (-0.5, 3.5)


def test_pictures_are_of_the_first_seed(results):
    row = read_rows({"name": "figure", "rows": ROWS[2:]}, results, "paper")[0]
    assert row.seeds == [7, 9]
    with SliceStore(results / "data" / "slices.h5") as store:
        number = store.index.sort_values("tumor_px")["slice"].tolist()[-1]
        truth = store.read(number)[1] != 0
    # only the first seed's mask is hollow, by one pixel
    assert (truth & ~predicted_masks(row, [number], "raw")[number]).sum() == 1
    assert np.array_equal(predicted_masks(row, [number], "pkp")[number], truth)
    assert set(row.pictured("raw")["seed"]) == {7}


def class_cases(seed: int, *pairs: tuple[int, int]) -> list[dict]:
    return [
        {"slice": i, "seed": seed, "variant": variant, "label": label, "predicted": predicted}
        for i, (label, predicted) in enumerate(pairs)
        for variant in ("raw", "pkp")
    ]


def test_confusion_counts_each_slice_once_and_sums_over_seeds():
    row = row_of([*class_cases(7, (1, 1), (1, 2), (2, 2)), *class_cases(9, (1, 1), (1, 1), (2, 1))])
    # true class 1: right in 1 + 2, taken for 2 in 1 + 0; true class 2: right in 1 + 0, taken for 1 in 0 + 1
    assert counts(row).tolist() == [[3, 1, 0], [1, 1, 0], [0, 0, 0]]
    shares = row_shares(counts(row))
    assert shares[:2].tolist() == [[0.75, 0.25, 0], [0.5, 0.5, 0]]
    assert np.isnan(shares[2]).all()


def area(curve) -> float:
    return float(np.trapezoid(curve[1], curve[0]))


def test_a_roc_curve_steps_right_for_a_negative_and_up_for_a_positive():
    positive = np.array([True, False, True, False])
    x, y = roc_curve(positive, np.array([0.9, 0.8, 0.7, 0.1]))
    assert x.tolist() == [0, 0, 0.5, 0.5, 1]
    assert y.tolist() == [0, 0.5, 0.5, 1, 1]
    # a tie of one positive and one negative is one step to both sides
    x, y = roc_curve(positive, np.array([0.9, 0.8, 0.8, 0.1]))
    assert list(zip(x.tolist(), y.tolist(), strict=True)) == [(0, 0), (0, 0.5), (0.5, 1), (1, 1)]


def test_the_area_below_a_roc_curve_is_the_auc_of_the_tables_ties_included():
    random = np.random.default_rng(1)
    for _ in range(20):
        positive, score = random.random(40) < 0.4, random.integers(0, 9, 40) / 8
        assert area(roc_curve(positive, score)) == pytest.approx(classification.auc(positive, score), abs=1e-12)


def test_the_mean_of_two_curves_has_the_mean_of_their_areas():
    diagonal = (np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    perfect = (np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0]))
    x, y = mean_curve([diagonal, perfect])
    # at rate 0 the diagonal stays at 0 and the perfect curve rises to 1: from 0 to a half; at rate 1 both are at 1
    assert list(zip(x.tolist(), y.tolist(), strict=True)) == [(0, 0), (0, 0.5), (1, 1), (1, 1)]
    random = np.random.default_rng(2)
    curves = [roc_curve(random.random(30) < 0.5, random.integers(0, 12, 30)) for _ in range(3)]
    assert area(mean_curve(curves)) == pytest.approx(np.mean([area(curve) for curve in curves]), abs=1e-12)


def test_the_auc_in_the_legend_is_the_one_of_the_summary_over_seeds(results):
    rows = read_rows({"name": "figure", "rows": ROWS[1:]}, results, "paper")
    for row, (k, column) in itertools.product(rows, enumerate(CLASS_COLUMNS)):
        expected = row.summary.variants["raw"][f"auc_{column.removeprefix('p_')}"]
        assert class_auc(row, k) == pytest.approx(expected, abs=1e-12)


def test_a_class_missing_from_the_test_set_is_said_and_does_not_crash(results, tmp_path):
    with SliceStore(results / "data" / "slices.h5") as store:
        spec = tmp_path / "specs" / "experiments" / "few.json"
        write_json(spec, {})
        folder = tmp_path / "experiments" / "few" / "paper"
        split = results / "splits" / "paper.csv"
        digests = {"spec": sha256_file(spec), "data": store.digest, "split": sha256_file(split)}
        with PredictionWriter(folder / "predictions.h5", "few", "paper", digests) as writer:
            for number in store.index.loc[store.index["label"] != 1, "slice"]:
                writer.add(number, 7, 0, None, np.array([0.2, 0.5, 0.3]))
    store_path = results / "data" / "slices.h5"
    evaluate(folder / "predictions.h5", store_path, split, folder / "cases.csv", folder / "summary.json")
    (tmp_path / "data").symlink_to(results / "data")
    rows = [{"label": "Few", "experiment": "few"}]
    caption = draw(tmp_path, tmp_path / "out", "roc", rows)
    assert "No test slice is of class meningioma: its curve and AUC are not defined." in caption
    assert "No test slice of class meningioma, so no share of it." in draw(
        tmp_path, tmp_path / "out", "confusion", rows
    )


def test_a_network_keeps_its_colour_and_line_in_every_figure(results):
    rows = read_rows({"name": "figure", "rows": ROWS}, results, "paper")
    assert [row.style for row in rows] == [0, 1, 2]
    alone = read_rows({"name": "figure", "rows": [ROWS[2] | {"style": 2}]}, results, "paper")[0]
    assert style.line(alone.style) == style.line(rows[2].style)
    lines = [(style.line(i)["color"], str(style.line(i)["linestyle"]), style.line(i)["linewidth"]) for i in range(63)]
    assert len(set(lines)) == 63


def test_long_labels_are_set_smaller_and_short_ones_are_not():
    assert style.fitting_size(["MMRAN"], 8, 1.3) == 8
    small = style.fitting_size(["Baseline + scSE + MSM + GMP + RES"], 8, 1.3)
    assert 4 < small < 8
    assert style.fitting_size(["Baseline + scSE + MSM + GMP + RES"], small, 1.3) == pytest.approx(small, rel=0.02)


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


def test_another_store_or_other_predictions_than_those_measured_are_refused(results, tmp_path):
    row = read_rows({"name": "figure", "rows": ROWS[2:]}, results, "paper")[0]
    other = {"data": "0" * 64, "spec": "0" * 64, "split": "0" * 64}
    with PredictionWriter(tmp_path / "predictions.h5", MULTITASK, "paper", other) as writer:
        writer.add(1, 7, 0, np.ones((4, 4)), None)
    moved = row_of([], predictions=tmp_path / "predictions.h5", summary=row.summary)
    with pytest.raises(UserError, match=r"predictions\.h5: its digest of the .* is not the one in the summary"):
        predicted_masks(moved, [1], "raw")
    with SliceStore(results / "data" / "slices.h5") as store:
        check_store([row], store)
        store.digest = "0" * 64
        with pytest.raises(UserError, match="give the store that it was predicted from"):
            check_store([row], store)


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
    assert capsys.readouterr().out.split() == [str(output.with_suffix(end)) for end in (".svg", ".png", ".txt")]


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
