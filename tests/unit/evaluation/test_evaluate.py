from argparse import ArgumentParser

import numpy as np
import pytest

from mmran.cli.results import VERBS
from mmran.data.published import CLASSES
from mmran.errors import UserError
from mmran.evaluation.cases import case_columns
from mmran.evaluation.evaluate import evaluate
from tests.unit.evaluation.conftest import certain, predict, ring, solid


def test_every_case_has_a_row_for_each_variant_with_the_agreed_columns(run):
    cases, _ = run((1, 7, 0, ring(), certain(1)), (4, 7, 0, np.eye(4), certain(2)))
    assert tuple(cases.columns) == case_columns(CLASSES)
    variants = ["raw", "pkp", "pkp-guarded"]
    assert cases[["slice", "variant"]].to_numpy().tolist() == [[n, variant] for n in (1, 4) for variant in variants]
    assert cases.loc[0, ["experiment", "protocol", "seed", "fold", "pid", "family", "label"]].tolist() == [
        *("mmran", "paper", 7, 0, "101A", "101", 1)
    ]


def test_a_filled_hole_changes_the_mask_metrics_and_nothing_else(run):
    cases, summary = run((1, 7, 0, ring(), certain(1)))
    raw, pkp = cases.iloc[0], cases.iloc[1]
    # Ring of 8 in a square of 9: Dice 16 / 17, IoU 8 / 9; background 55 of 64: IoU 55 / 56.
    assert raw["dice"] == pytest.approx(16 / 17)
    assert (raw["iou_tumor"], raw["iou_background"]) == pytest.approx((8 / 9, 55 / 56))
    assert (raw["recall_tumor"], raw["recall_background"]) == pytest.approx((8 / 9, 1))
    assert pkp[["dice", "iou_tumor", "iou_background", "recall_tumor"]].tolist() == [1, 1, 1, 1]
    unchanged = ["soft_dice", "hd95_mm", "missed", "p_meningioma", "p_glioma", "p_pituitary", "predicted"]
    assert raw[unchanged].tolist() == pkp[unchanged].tolist()
    assert summary["variants"]["raw"]["dice"] == pytest.approx(16 / 17)
    assert summary["variants"]["pkp"]["dice"] == summary["variants"]["pkp-guarded"]["dice"] == 1
    assert summary["variants"]["raw"]["miou"] == pytest.approx((8 / 9 + 55 / 56) / 2)
    assert summary["variants"]["raw"]["mpa"] == pytest.approx((8 / 9 + 1) / 2)


def test_distances_use_each_slices_own_spacing(run):
    # One pixel, predicted one column beside it: 1 pixel = 2 mm in the 4 x 4 slice.
    beside = np.zeros((4, 4))
    beside[1, 2] = 1
    cases, _ = run((4, 7, 0, beside, certain(2)))
    assert cases["hd95_mm"].tolist() == cases["assd_mm"].tolist() == [2.0] * 3
    assert cases["nsd_2mm"].tolist() == [1.0] * 3


def test_a_probability_of_one_half_is_tumor(run):
    cases, _ = run((1, 7, 0, solid() * 0.5, certain(1)))
    assert cases["dice"].tolist() == [1, 1, 1]


def test_the_rulers_of_the_released_script_stand_beside_ours(run):
    # Slice 1 is 8 x 8 with a tumor of 9. A trace of .01 elsewhere is byte 2, which that script takes for tumor.
    cases, summary = run((1, 7, 0, np.maximum(solid(), 0.01), certain(1)))
    raw = cases.iloc[0]
    assert (raw["dice"], raw["image_mm2"]) == (1, 64)
    assert (raw["miou_released"], raw["mpa_released"]) == pytest.approx((9 / 64 / 2, 1 / 2))
    assert raw["dice_released"] == pytest.approx((2 * 9 + 1) / (9 + 55 * 2 / 255 + 9 + 1))
    assert cases["dice_released"].nunique() == 1  # no variant changes a probability
    assert summary["variants"]["raw"]["miou_released"] == pytest.approx(9 / 128)


def test_the_class_is_the_most_probable_one_counted_from_one(run):
    cases, _ = run((3, 7, 0, solid(), np.array([0.1, 0.2, 0.7])), (1, 7, 0, solid(), np.array([0.2, 0.5, 0.3])))
    assert cases.query("variant == 'raw'")["predicted"].tolist() == [2, 3]


def test_a_network_without_classes_has_empty_class_columns(run):
    cases, summary = run((1, 7, 0, ring(), None))
    assert cases[["p_meningioma", "p_glioma", "p_pituitary", "predicted"]].isna().all(axis=None)
    raw = summary["variants"]["raw"]
    assert raw["dice"] == pytest.approx(16 / 17)
    assert [raw[name] for name in ("acc", "rec", "pre", "f1", "auc_macro")] == [None] * 5


def test_a_network_without_masks_has_the_raw_variant_and_empty_mask_columns(run):
    cases, summary = run((1, 7, 0, None, certain(1)), (2, 7, 0, None, certain(1)))
    assert cases["variant"].tolist() == ["raw", "raw"]
    assert cases[["dice", "soft_dice", "hd95_mm", "missed", "recall_tumor"]].isna().all(axis=None)
    assert list(summary["variants"]) == ["raw"]
    raw = summary["variants"]["raw"]
    assert raw["acc"] == pytest.approx(1 / 2)
    assert [raw[name] for name in ("dice", "soft_dice", "hd95_mm", "n_missed", "miou", "mpa")] == [None] * 6


def test_the_same_predictions_give_the_same_files(run, tmp_path):
    texts = []
    for _ in range(2):
        run((1, 7, 0, ring(), certain(1)), (4, 7, 0, np.eye(4) * 0.7, certain(2)))
        texts.append([(tmp_path / "out" / name).read_text() for name in ("cases.csv", "summary.json")])
    assert texts[0] == texts[1]


def test_the_verb_says_what_it_measured_and_which_class_no_slice_has(tmp_path, store, split, capsys):
    predict(tmp_path / "p.h5", store, split, [(1, 7, 0, ring(), certain(1)), (2, 7, 0, solid(), certain(2))])
    verb = next(verb for verb in VERBS if verb.name == "evaluate")
    parser = ArgumentParser()
    verb.arguments(parser)
    files = ["--store", store, "--split", split]
    files += ["--cases", tmp_path / "cases.csv", "--summary", tmp_path / "summary.json"]
    verb.run(parser.parse_args([str(argument) for argument in [tmp_path / "p.h5", *files]]))
    # Dice of 16/17 and 1.
    assert capsys.readouterr().out.splitlines() == [
        "mmran, protocol paper, 2 test slices",
        "  raw          dice 0.9706  hd95_mm 0  n_missed 0  n_no_overlap 0  acc 1",
        "  pkp          dice 1  hd95_mm 0  n_missed 0  n_no_overlap 0  acc 1",
        "  pkp-guarded  dice 1  hd95_mm 0  n_missed 0  n_no_overlap 0  acc 1",
        "  no test slice is a pituitary tumor: recall, precision, F1 and that AUC are not defined",
    ]


@pytest.mark.parametrize(("what", "file"), [("data", r"slices\.h5"), ("split", r"paper\.csv")])
def test_predictions_of_another_store_or_split_are_refused(tmp_path, store, split, what, file):
    predict(tmp_path / "p.h5", store, split, [(1, 7, 0, solid(), certain(1))], {what: "e" * 64})
    with pytest.raises(UserError, match=rf"p\.h5: predicted under the {what} with digest eeeeeeeeeeee, but .*{file}"):
        evaluate(tmp_path / "p.h5", store, split, tmp_path / "cases.csv", tmp_path / "summary.json")
    assert not (tmp_path / "cases.csv").exists()


def test_a_slice_that_the_store_lacks_and_a_wrong_size_are_refused(run):
    with pytest.raises(UserError, match="slice 99 is not in"):
        run((99, 7, 0, solid(), certain(1)))
    with pytest.raises(UserError, match="slice 4 was predicted at"):
        run((4, 7, 0, solid(), certain(1)))


def test_a_guarded_filling_leaves_a_hole_as_large_as_its_rim(run):
    # A frame of 28 pixels around a hole of 36: filled by pkp, left by pkp-guarded.
    frame = np.ones((8, 8), dtype=np.float32)
    frame[1:7, 1:7] = 0
    cases, _ = run((1, 7, 0, frame, certain(1)))
    # The tumor of 9 pixels lies in the hole: no overlap, and 2 * 9 / (64 + 9) once it is filled.
    assert cases["dice"].tolist() == pytest.approx([0, 18 / 73, 0])
    assert cases["overlaps"].tolist() == [0, 1, 0]


def test_size_tertiles_come_from_the_training_slices_of_the_fold(run):
    # Fold 0 trains on three tumors of 9 mm2, so 9 is not above a cut-off; fold 1 trains on one of 4 mm2.
    cases, _ = run((1, 7, 0, solid(), None), (4, 7, 0, np.eye(4), None), (3, 7, 1, solid(), None))
    raw = cases.query("variant == 'raw'")
    assert raw["slice"].tolist() == [1, 4, 3]
    assert raw["tumor_mm2"].tolist() == [9, 4, 9]
    assert raw["size_tertile"].tolist() == [1, 1, 3]


def test_a_fold_that_the_split_lacks_is_refused(run):
    with pytest.raises(UserError, match="fold 5 is not in the split"):
        run((1, 7, 5, solid(), None))
